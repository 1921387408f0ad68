-- Counts one request in every scope, or in none, and first what has become of requests that ended. The arithmetic is that of rules.rs.
--
-- KEYS: for each ended request and scope its levels and its leases; for each scope its levels, its day and its leases.
-- ARGV: now, the lease of the new request, when it ends, how many ended, how many scopes;
--       for each ended: rpm, tpm, the correction of its tokens, the highest level of tokens, its lease;
--       for each scope: rpm, tpm, rpd, concurrency, the tokens that it reserves. 0 stands for no limit.
-- Answers: "1" or "0" for whether it was counted, and for each scope what it had used before: requests, tokens, running, "hour:count ...".
local MINUTE, HOUR, HOURS = 60000, 3600000, 25
local now, lease, lease_end, ended, scopes = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local k, a = 1, 6

local function whole(n)
  return string.format('%.0f', n)
end

local function leaked(level, elapsed, limit)
  if limit == 0 then return 0 end
  return math.max(0, (tonumber(level) or 0) - elapsed * limit)
end

local function levels_of(key, rpm, tpm)
  local kept = redis.call('HMGET', key, 'at', 'requests', 'tokens')
  local at = tonumber(kept[1]) or now
  -- A clock that was ahead and was set right must not lock anybody out.
  if at > now + MINUTE then
    at = now
    redis.call('HSET', key, 'at', ARGV[1])
  end
  local elapsed = math.max(0, now - at)
  return math.max(at, now), leaked(kept[2], elapsed, rpm), leaked(kept[3], elapsed, tpm)
end

local function keep_levels(key, at, requests, tokens, rpm, tpm)
  local empty_in = 0
  if rpm > 0 then empty_in = requests / rpm end
  if tpm > 0 then empty_in = math.max(empty_in, tokens / tpm) end
  redis.call('HSET', key, 'at', whole(at), 'requests', whole(requests), 'tokens', whole(tokens))
  redis.call('PEXPIRE', key, whole(math.ceil(empty_in) + MINUTE))
end

for _ = 1, ended do
  local rpm, tpm, correction, most = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
  if tpm > 0 then
    local at, requests, tokens = levels_of(KEYS[k], rpm, tpm)
    keep_levels(KEYS[k], at, requests, math.min(most, math.max(0, tokens + correction)), rpm, tpm)
  end
  if ARGV[a + 4] ~= '' then redis.call('ZREM', KEYS[k + 1], ARGV[a + 4]) end
  k, a = k + 2, a + 5
end

local refused, found, answer = false, {}, { '1' }
for i = 1, scopes do
  local s = { levels = KEYS[k], day = KEYS[k + 1], leases = KEYS[k + 2] }
  s.rpm, s.tpm, s.rpd, s.concurrency, s.reserved = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4])
  s.at, s.requests, s.tokens = levels_of(s.levels, s.rpm, s.tpm)
  local today, running, hours = 0, 0, {}
  if s.rpd > 0 then
    local kept, oldest = redis.call('HGETALL', s.day), math.floor(now / HOUR) - HOURS + 1
    for n = 1, #kept, 2 do
      if tonumber(kept[n]) >= oldest then
        today = today + tonumber(kept[n + 1])
        hours[#hours + 1] = kept[n] .. ':' .. kept[n + 1]
      else
        redis.call('HDEL', s.day, kept[n])
      end
    end
  end
  if s.concurrency > 0 then
    redis.call('ZREMRANGEBYSCORE', s.leases, '-inf', ARGV[1])
    running = redis.call('ZCARD', s.leases)
  end
  refused = refused or (s.rpm > 0 and s.requests + MINUTE > s.rpm * MINUTE) or (s.tpm > 0 and s.tokens + s.reserved > s.tpm * MINUTE)
    or (s.rpd > 0 and today >= s.rpd) or (s.concurrency > 0 and running >= s.concurrency)
  found[i] = s
  answer[#answer + 1] = whole(s.requests)
  answer[#answer + 1] = whole(s.tokens)
  answer[#answer + 1] = whole(running)
  answer[#answer + 1] = table.concat(hours, ' ')
  k, a = k + 3, a + 5
end

if refused then
  answer[1] = '0'
  return answer
end
for _, s in ipairs(found) do
  local requests = s.rpm > 0 and s.requests + MINUTE or 0
  local tokens = s.tpm > 0 and s.tokens + s.reserved or 0
  if s.rpm > 0 or s.tpm > 0 then keep_levels(s.levels, s.at, requests, tokens, s.rpm, s.tpm) end
  if s.rpd > 0 then
    redis.call('HINCRBY', s.day, whole(math.floor(now / HOUR)), 1)
    redis.call('PEXPIRE', s.day, HOURS * HOUR)
  end
  if s.concurrency > 0 then
    redis.call('ZADD', s.leases, ARGV[3], lease)
    redis.call('PEXPIRE', s.leases, whole(lease_end - now + MINUTE))
  end
end
return answer
