-- For wrk: posts the JSON body of the file $BODY with the bearer key $KEY, and prints what it measured as one line of JSON.

local file = assert(io.open(os.getenv("BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("KEY")
file:close()

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
