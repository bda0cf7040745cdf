-- Every name is this machine, whatever the resolver says: *.localhost has no entry on most Linux systems.
local lookup = wrk.lookup
function wrk.resolve(host, service)
  wrk.addrs = lookup("127.0.0.1", service)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"failures":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
