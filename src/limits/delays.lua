-- Counts a guess, or takes one back. The arithmetic is that of delays.rs.
--
-- KEYS: the subject. ARGV: now, then for a guess: how many are free, the first delay, the longest, how long guesses are remembered; to take one back: its number.
-- Answers: for a guess its number and how long is to be waited first, one of which is 0.
local now = tonumber(ARGV[1])
local known = redis.call('HMGET', KEYS[1], 'n', 'until')
local n, blocked = tonumber(known[1]) or 0, tonumber(known[2]) or 0

if #ARGV == 2 then
  if n <= 1 then
    redis.call('DEL', KEYS[1])
  else
    redis.call('HSET', KEYS[1], 'n', string.format('%.0f', n - 1))
    if n == tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], 'until', '0') end
  end
  return { 0, 0 }
end

if blocked > now then return { 0, blocked - now } end
n = n + 1
local delay, doublings = 0, n - tonumber(ARGV[2]) - 1
if doublings >= 0 then delay = math.min(tonumber(ARGV[4]), tonumber(ARGV[3]) * 2 ^ math.min(doublings, 40)) end
redis.call('HSET', KEYS[1], 'n', string.format('%.0f', n), 'until', string.format('%.0f', now + delay))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', delay + tonumber(ARGV[5])))
return { n, 0 }
