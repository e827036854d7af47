-- Hand a batch of deliveries of one stream back as they are: nothing is charged, another process starts them.
--
-- KEYS[1] stream   of the deliveries
-- KEYS[2] index    hash, task id -> place
-- KEYS[3] memo     hash of this worker process, lane -> its last reply
-- KEYS[4] target   stream they go to: front, or suspects for a suspect
-- ARGV[1] group    consumer group
-- ARGV[2] channel  of the events
-- ARGV[3] lane     which memo
-- ARGV[4] number   of this settle round; grows
-- ARGV[5] count    n, how many deliveries
-- ARGV[6] letter   of the target, for the index
-- ARGV[7+] batch   n entries, n ids ('' when it could not be read), n notes ('' when nobody is known to listen)
--
-- Returns {remembered, heard, position of each delivery that was gone ...}. A gone one was settled by somebody
--   else: nothing is written for it. A number seen last is answered from the memo, nothing is written.
--   {2, 1} when there are no notes and somebody listens: nothing is written, and the batch is to come with notes.
--   An older number, or a key of the wrong type, is an error, nothing is written.
--
-- Uses carried, listened, remembered, tell.

local before = remembered(KEYS[3], ARGV[3], ARGV[4])
if before then return before end

local n = tonumber(ARGV[5])
if ARGV[7 + 2 * n] == '' and listened(ARGV[2]) then return {2, 1} end
-- Found after the XACK, a key of the wrong type would have lost the task.
redis.call('XLEN', KEYS[4])
redis.call('HLEN', KEYS[2])
local entries, bodies = {}, {}
for i = 1, n do
  entries[i] = ARGV[6 + i]
  bodies[i] = redis.call('XRANGE', KEYS[1], entries[i], entries[i])[1]
end

local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local reply, rows, heard = {0, 0}, {}, ARGV[7 + 2 * n] ~= ''
redis.call('XACK', KEYS[1], ARGV[1], unpack(entries))
redis.call('XDEL', KEYS[1], unpack(entries))
for i = 1, n do
  local id = ARGV[6 + n + i]
  if bodies[i] then
    local entry = redis.call('XADD', KEYS[4], '*', unpack(carried(bodies[i][2])))
    if id ~= '' then
      rows[#rows + 1] = id
      rows[#rows + 1] = ARGV[6] .. entry
    end
    heard = heard and tell(ARGV[2], 'Pending', id, ARGV[6 + 2 * n + i], now_us + i) ~= 0
  else
    reply[#reply + 1] = i
  end
end
if #rows > 0 then redis.call('HSET', KEYS[2], unpack(rows)) end
reply[2] = heard and 1 or 0
redis.call('HSET', KEYS[3], ARGV[3], ARGV[4] .. ' ' .. table.concat(reply, ' ', 3))
return reply
