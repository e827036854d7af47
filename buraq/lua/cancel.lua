-- Take back a task that has not started: from its stream, or from the scheduled set.
--
-- KEYS[1] high       stream
-- KEYS[2] normal     stream
-- KEYS[3] low        stream
-- KEYS[4] front      stream
-- KEYS[5] suspects   stream
-- KEYS[6] scheduled  zset, task id -> due time
-- KEYS[7] tasks      hash, task id -> payload
-- KEYS[8] index      hash, task id -> place
-- KEYS[9] history    stream of the cancelled tasks that are kept
-- KEYS[10] ids       hash, task id -> its newest record in a history
-- KEYS[11] dlq       stream
-- KEYS[12+] owner    the task's idempotency key, when it has one
-- ARGV[1] group      consumer group
-- ARGV[2] id         of the task
-- ARGV[3] most       records in the history
-- ARGV[4] record     what the history keeps of it, '' for nothing
--
-- Returns "CANCELLED". Else nothing is written: "RUNNING" when a worker process has it, "DEAD" when it is a dead
--   letter, "UNKNOWN" when it is nowhere, as when its place is none. A key of the wrong type, or that the user may not
--   read, is an error, nothing is written.
--
-- Uses keep.

local place = redis.call('HGET', KEYS[8], ARGV[2])
if not place then return 'UNKNOWN' end
local where, entry = string.sub(place, 1, 1), string.sub(place, 2)

if where == 'z' then
  if not redis.call('ZSCORE', KEYS[6], ARGV[2]) then return 'UNKNOWN' end
  redis.call('HDEL', KEYS[7], ARGV[2])
  redis.call('ZREM', KEYS[6], ARGV[2])
else
  local key, ms, seq = KEYS[({h = 1, n = 2, l = 3, f = 4, s = 5, d = 11})[where]], string.match(entry, '^(%d+)%-(%d+)$')
  -- What is no entry id is in no stream, and to ask for it would be an error.
  if not ms or #ms > 19 or #seq > 19 then return 'UNKNOWN' end
  if not key or #redis.call('XRANGE', key, entry, entry) == 0 then return 'UNKNOWN' end
  if where == 'd' then return 'DEAD' end
  local pending = redis.pcall('XPENDING', key, ARGV[1], entry, entry, 1)
  -- Without a group nothing runs. No other error is to pass for that, or what runs would be taken away.
  if pending.err and not string.find(tostring(pending.err), 'NOGROUP', 1, true) then return pending end
  if not pending.err and #pending > 0 then return 'RUNNING' end
  redis.call('XDEL', key, entry)
end
redis.call('HDEL', KEYS[8], ARGV[2])
if KEYS[12] and redis.pcall('GET', KEYS[12]) == ARGV[2] then redis.call('DEL', KEYS[12]) end
if ARGV[4] ~= '' then keep(KEYS[9], KEYS[10], 'x', ARGV[2], ARGV[4]) end
forget(KEYS[9], KEYS[10], 'x', ARGV[3])
return 'CANCELLED'
