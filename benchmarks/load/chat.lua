-- Plain calls from one file, and the whole result as one line of JSON: `rig {...}`, times in microseconds.
-- Nothing is done per request, so wrk prepares the request once and its speed is its own.

function init(args)
   local file = assert(io.open(args[1], "rb"))
   wrk.method = "POST"
   wrk.body = file:read("*a")
   file:close()
end

function done(summary, latency, requests)
   local counts = {}
   for i = 1, #latency do
      local value, count = latency(i)
      counts[i] = string.format("[%.0f,%.0f]", tonumber(value), tonumber(count))
   end
   local errors = summary.errors
   io.write(string.format(
      'rig {"microseconds":%.0f,"requests":%.0f,"refused":%.0f,"connect":%.0f,"read":%.0f,"write":%.0f,' ..
      '"timeout":%.0f,"latency":[%s]}\n',
      summary.duration, summary.requests, errors.status, errors.connect, errors.read, errors.write,
      errors.timeout, table.concat(counts, ",")))
end
