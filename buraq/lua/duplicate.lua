-- Ask whose idempotency key it is before a task runs that came by a plain XADD; drop the delivery of a duplicate.
--
-- KEYS[1] stream   of the delivery
-- KEYS[2] index    hash, task id -> place
-- KEYS[3] owner    the idempotency key
-- ARGV[1] group    consumer group
-- ARGV[2] entry    entry id of the delivery
-- ARGV[3] id       of its task
-- ARGV[4] keep_ms  life of the key
--
-- Returns "OWNED" when the key is this task's, now or already; the delivery stays as it is.
--   "DUPLICATE" when another task owns it: the delivery is acked and deleted, the key stays as it is.
--   "GONE" when the entry is no longer there: nothing is written.

if #redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2]) == 0 then return 'GONE' end
local holder = redis.call('GET', KEYS[3])

-- "1" is what the Go original writes: it names no task, so it cannot be told from this task's own claim.
if not holder or holder == '1' then
  redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[4])
  return 'OWNED'
end
if holder == ARGV[3] then return 'OWNED' end

local place = redis.call('HGET', KEYS[2], ARGV[3]) or ''
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
if string.sub(place, 2) == ARGV[2] then redis.call('HDEL', KEYS[2], ARGV[3]) end
return 'DUPLICATE'
