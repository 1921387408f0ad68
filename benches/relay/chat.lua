-- For wrk: posts the JSON body of the file $BODY to $TARGET with the bearer keys of the file $KEYS, one after the other, and prints what it
-- measured as one line of JSON.

local file = assert(io.open(os.getenv("BODY"), "rb"))
local body = file:read("*a")
file:close()
local keys = {}
for key in io.lines(os.getenv("KEYS")) do
  table.insert(keys, key)
end

local next_key = 0
local one

local function make(key)
  return wrk.format("POST", os.getenv("TARGET"), {
    ["Content-Type"] = "application/json",
    ["Authorization"] = "Bearer " .. key,
    ["Host"] = wrk.headers["Host"],
  }, body)
end

function request()
  if #keys == 1 then
    one = one or make(keys[1])
    return one
  end
  next_key = next_key % #keys + 1
  return make(keys[next_key])
end

function done(summary, latency)
  local errors = summary.errors
  local fields = {
    answered = summary.requests,
    microseconds = summary.duration,
    bytes = summary.bytes,
    p50_us = latency:percentile(50),
    p99_us = latency:percentile(99),
    max_us = latency.max,
    failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout,
  }
  local parts = {}
  for name, value in pairs(fields) do
    table.insert(parts, string.format('"%s":%d', name, value))
  end
  io.write("\nMEASURED {" .. table.concat(parts, ",") .. "}\n")
end
