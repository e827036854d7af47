-- Tell the listeners which tasks have started. Changes nothing: it runs before the settle scripts of its pipeline.
--
-- ARGV[1] channel   of the events
-- ARGV[2+] tasks    two each: id, note (the further members of the event, as JSON without braces)
--
-- Returns 1 while somebody hears the events, else 0. Nothing is written.
--
-- Uses tell.

local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
for i = 2, #ARGV, 2 do
  if tell(ARGV[1], 'Processing', ARGV[i], ARGV[i + 1], now_us + i / 2) == 0 then return 0 end
end
return 1
