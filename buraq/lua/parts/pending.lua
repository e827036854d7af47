-- Tell a channel that a task waits to be run, and return whether anybody heard it. `at` is in microseconds.
local function pending(channel, queue, id, payload, at)
  local task_type = string.match(payload, '"type":("[^"\\]*")') or '""'
  return redis.pcall('PUBLISH', channel, '{"type":"Pending","task_id":' .. cjson.encode(id) ..
    ',"worker_id":"","task_type":' .. task_type .. ',"queue":' .. queue ..
    ',"at":' .. string.format('%.0f', at) .. '}') ~= 0
end
