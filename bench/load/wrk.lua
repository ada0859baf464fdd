-- The closed loop's request, and its result as one line of JSON.
--   wrk ... -s wrk.lua URL -- BODY-BYTES ENDPOINTS [HEADER-NAME HEADER-VALUE]...
-- ENDPOINTS above 1: requests go to /serving-endpoints/endpoint-N/invocations of N below it in turn; the URL's path otherwise.

local requests = {}
local at = 0

function init(args)
  local frame = '{"inputs":""}'
  local bytes = tonumber(args[1])
  wrk.method = "POST"
  wrk.body = '{"inputs":"' .. string.rep("x", bytes - #frame) .. '"}'
  wrk.headers["Content-Type"] = "application/json"
  for i = 3, #args - 1, 2 do
    wrk.headers[args[i]] = args[i + 1]
  end
  local endpoints = tonumber(args[2])
  if endpoints > 1 then
    for i = 0, endpoints - 1 do
      requests[i] = wrk.format(nil, "/serving-endpoints/endpoint-" .. i .. "/invocations")
    end
    -- A fixed request costs wrk nothing, so this exists only where it is needed.
    request = function()
      at = (at + 1) % endpoints
      return requests[at]
    end
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"answers":%d,"seconds":%.6f,"bytes":%d,"failed":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d},' ..
    '"latency_us":{"p50":%d,"p99":%d}}\n',
    summary.requests, summary.duration / 1e6, summary.bytes,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
