-- Tell the listeners which tasks have started. Changes nothing: it runs before the settle scripts of its pipeline.
--
-- ARGV[1] channel   of the events
-- ARGV[2+] tasks    two each: id, note (the further members of the event, as JSON without braces)
--
-- Returns 1 while somebody hears the events, else 0. Nothing is written.

local clock = redis.call('TIME')
for i = 2, #ARGV, 2 do
  local heard = redis.pcall('PUBLISH', ARGV[1], '{"type":"Processing","task_id":' .. cjson.encode(ARGV[i]) .. ',' ..
    ARGV[i + 1] .. ',"at":' .. string.format('%.0f', clock[1] * 1000000 + clock[2] + i / 2) .. '}')
  if heard == 0 then return 0 end
end
return 1
