-- Move scheduled tasks whose time has come to their streams.
--
-- KEYS[1] scheduled  zset, task id -> due time
-- KEYS[2] tasks      hash, task id -> payload
-- KEYS[3] index      hash, task id -> place
-- KEYS[4] high       stream
-- KEYS[5] normal     stream
-- KEYS[6] low        stream
-- KEYS[7] suspects   stream, for a task with two deaths or more
-- ARGV[1] channel    of the events
-- ARGV[2] queue      its name as JSON, for the events
-- ARGV[3] now_ms     unix time, empty for the server's
-- ARGV[4] limit      how many at most
--
-- Returns {moved, milliseconds until the next is due or -1}. With nothing due nothing is written.
--   A key of the wrong type is an error, nothing is written.
--
-- Uses tell.

local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = tonumber(ARGV[3]) or clock[1] * 1000 + math.floor(clock[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[4])
local streams, rows, moved, heard = {h = 4, n = 5, l = 6}, {}, 0, true
if #due > 0 then
  local payloads = redis.call('HMGET', KEYS[2], unpack(due))
  local places = redis.call('HMGET', KEYS[3], unpack(due))
  -- Found after the ZREM, a stream of the wrong type would have lost the task.
  for k = 4, 7 do redis.call('XLEN', KEYS[k]) end
  redis.call('ZREM', KEYS[1], unpack(due))
  redis.call('HDEL', KEYS[2], unpack(due))
  for i, id in ipairs(due) do
    -- A row without a payload names nothing that could run; one without a place was scheduled by somebody else.
    if payloads[i] then
      local letter, mark, deaths, attempts = string.match(places[i] or '', '^z([hnl])([k-])(%d+)(.*)$')
      letter, deaths = letter or 'n', tonumber(deaths or 0)
      local fields, key = {'payload', payloads[i]}, KEYS[streams[letter]]
      if mark == 'k' then fields[3], fields[4] = 'claimed', '1' end
      if attempts and attempts ~= '' then fields[#fields + 1], fields[#fields + 2] = 'attempts', attempts end
      if deaths > 0 then fields[#fields + 1], fields[#fields + 2] = 'deaths', deaths end
      if deaths >= 2 then letter, key = 's', KEYS[7] end
      rows[#rows + 1] = id
      rows[#rows + 1] = letter .. redis.call('XADD', key, '*', unpack(fields))
      moved = moved + 1
      heard = heard and tell_pending(ARGV[1], ARGV[2], id, payloads[i], now_us + i) ~= 0
    end
  end
  if #rows > 0 then redis.call('HSET', KEYS[3], unpack(rows)) end
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {moved, first[2] and math.max(0, math.ceil(tonumber(first[2]) - now)) or -1}
