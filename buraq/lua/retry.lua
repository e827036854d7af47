-- Put a batch of deliveries of one stream into the scheduled set: they run again when they are due.
--
-- KEYS[1] stream     of the deliveries
-- KEYS[2] index      hash, task id -> place
-- KEYS[3] memo       hash of this worker process, lane -> its last reply
-- KEYS[4] scheduled  zset, task id -> due time
-- KEYS[5] tasks      hash, task id -> payload
-- KEYS[6] statistics  string of counters
-- KEYS[7] history    stream of the failed attempts that are kept
-- KEYS[8] ids        hash, task id -> its newest record in a history
-- ARGV[1] group      consumer group
-- ARGV[2] channel    of the events
-- ARGV[3] lane       which memo
-- ARGV[4] number     of this settle round; grows
-- ARGV[5] count      n, how many deliveries
-- ARGV[6] event      "Failed", or "Pending" for a task that was put off and not charged
-- ARGV[7] now_ms     unix time, empty for the server's
-- ARGV[8] sums       what the attempts add to the statistics, '' when they are not charged
-- ARGV[9] most       records in the history
-- ARGV[10+] batch    n entries, n ids, n notes ('' when nobody is known to listen), n delays in ms, n payloads,
--                    n places (what the index says of them), n records ('' for none)
--
-- Returns {remembered, heard, position of each delivery that was gone ...}. A gone one was settled by somebody
--   else: nothing is written for it. A number seen last is answered from the memo, nothing is written.
--   {2, 1} when there are no notes and somebody listens: nothing is written, and the batch is to come with notes.
--   An older number, a delay that is no number, or a key of the wrong type, is an error, nothing is written.
--
-- Uses count, keep, listened, remembered, tell.

local before = remembered(KEYS[3], ARGV[3], ARGV[4])
if before then return before end

local n = tonumber(ARGV[5])
if ARGV[10 + 2 * n] == '' and listened(ARGV[2]) then return {2, 1} end
local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = tonumber(ARGV[7]) or clock[1] * 1000 + math.floor(clock[2] / 1000)
local entries, due = {}, {}
-- Found after the XACK, a key of the wrong type or a due time that is no number would have lost the task.
redis.call('ZCARD', KEYS[4])
redis.call('HLEN', KEYS[5])
redis.call('HLEN', KEYS[2])
for i = 1, n do
  entries[i] = ARGV[9 + i]
  local delay = tonumber(ARGV[9 + 3 * n + i])
  if not (delay and math.abs(delay) < 9e15) then return redis.error_reply('BADDELAY ' .. ARGV[9 + 3 * n + i]) end
  due[i] = string.format('%.0f', now + delay)
end

local reply, due_rows, task_rows, rows, heard = {0, 0}, {}, {}, {}, ARGV[10 + 2 * n] ~= ''
local all = redis.call('XACK', KEYS[1], ARGV[1], unpack(entries)) == n
if all then redis.call('XDEL', KEYS[1], unpack(entries)) end
for i = 1, n do
  local id, record = ARGV[9 + n + i], ARGV[9 + 6 * n + i]
  if all or redis.call('XDEL', KEYS[1], entries[i]) == 1 then
    due_rows[#due_rows + 1] = due[i]
    due_rows[#due_rows + 1] = id
    task_rows[#task_rows + 1] = id
    task_rows[#task_rows + 1] = ARGV[9 + 4 * n + i]
    rows[#rows + 1] = id
    rows[#rows + 1] = ARGV[9 + 5 * n + i]
    if record ~= '' then keep(KEYS[7], KEYS[8], 'f', id, record) end
    heard = heard and tell(ARGV[2], ARGV[6], id, ARGV[9 + 2 * n + i], now_us + i) ~= 0
  else
    reply[#reply + 1] = i
  end
end
if #rows > 0 then
  redis.call('HSET', KEYS[5], unpack(task_rows))
  redis.call('ZADD', KEYS[4], unpack(due_rows))
  redis.call('HSET', KEYS[2], unpack(rows))
end
if ARGV[8] ~= '' and #rows > 0 then
  forget(KEYS[7], KEYS[8], 'f', ARGV[9])
  count(KEYS[6], clock[1], '3=' .. #rows / 2 .. ' ' .. ARGV[8])
end
reply[2] = heard and 1 or 0
redis.call('HSET', KEYS[3], ARGV[3], ARGV[4] .. ' ' .. table.concat(reply, ' ', 3))
return reply
