-- Tell a channel what became of a task, and return how many heard it. `note` are the further members of the event, as
-- JSON without braces. `at` is in microseconds and the event's id: no two of a script have the same.
-- '%.0f' takes a microsecond longer than '%d', a fifth of what an event costs. But '%d' takes a C long, which has 32
-- bits on some servers.
local whole = string.format('%d', 4503599627370496) == '4503599627370496' and '%d' or '%.0f'
local function tell(channel, kind, id, note, at)
  return redis.pcall('PUBLISH', channel, '{"type":"' .. kind .. '","task_id":' .. cjson.encode(id) .. ',' .. note ..
    ',"at":' .. string.format(whole, at) .. '}')
end

-- The same of a task that waits to be run, as its payload says; `queue` is its name as JSON.
local function tell_pending(channel, queue, id, payload, at)
  local task_type = string.match(payload, '"type":("[^"\\]*")') or '""'
  return tell(channel, 'Pending', id, '"worker_id":"","task_type":' .. task_type .. ',"queue":' .. queue, at)
end
