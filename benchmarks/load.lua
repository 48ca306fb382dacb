-- The load as a wrk script: every event has a body of its own. Its arguments come from load.py, in this order.
local head, event, envelope, prefix, rows, users
local sent = 0

function init(args)
  event, envelope, prefix = args[1], args[2], args[3]
  rows, users = tonumber(args[4]), tonumber(args[5])
  -- By hand: wrk.format would take longer than the bare app.
  head = "POST " .. wrk.path .. " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: "
end

function request()
  local events = {}
  for row = 1, rows do
    sent = sent + 1
    local id = prefix .. "-" .. sent
    events[row] = event:format(users > 0 and "user-" .. sent % users or id, id)
  end
  local body = envelope:format(table.concat(events, "},{"))
  return head .. #body .. "\r\n\r\n" .. body
end

function done(summary, latency)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.timeout + e.status
  io.write(string.format("RESULT %d %d %d %d\n", summary.requests, summary.duration, failed, latency:percentile(99)))
end
