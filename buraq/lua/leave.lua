-- Clean stop of a worker process: hand back what is still pending under its name, then forget the process.
--
-- KEYS[1] high      stream
-- KEYS[2] normal    stream
-- KEYS[3] low       stream
-- KEYS[4] front     stream; what is handed back goes here
-- KEYS[5] suspects  stream; what is handed back of it stays in it
-- KEYS[6] index     hash, task id -> place
-- KEYS[7] leases    zset, worker process -> lease expiry
-- KEYS[8] worker    hash, facts of the worker process
-- KEYS[9] memo      hash, the last settle replies of the worker process
-- ARGV[1] group     consumer group
-- ARGV[2] name      of the worker process
-- ARGV[3] limit     how many entries at most; when more are pending the process is not forgotten yet
--
-- Returns {handed back, done}: done is 0 while entries are left, then nothing but the handing back is written.
--   An entry without a body is acked and not counted. A front, suspects, index or leases of the wrong type is an error,
--   nothing is written.
--
-- Uses carried.

-- Found after an XACK, a key of the wrong type would have lost the task.
redis.call('XLEN', KEYS[4])
redis.call('XLEN', KEYS[5])
redis.call('HLEN', KEYS[6])
redis.call('ZCARD', KEYS[7])
-- Counts what was looked at, with a body or not: DELCONSUMER below would throw away what was not.
local handed, left = 0, tonumber(ARGV[3])
for k = 1, 5 do
  local target, letter = KEYS[k == 5 and 5 or 4], k == 5 and 's' or 'f'
  local pending = redis.pcall('XPENDING', KEYS[k], ARGV[1], '-', '+', left + 1, ARGV[2])
  if pending.err then pending = {} end
  for _, row in ipairs(pending) do
    if left == 0 then return {handed, 0} end
    left = left - 1
    local body = redis.call('XRANGE', KEYS[k], row[1], row[1])[1]
    redis.call('XACK', KEYS[k], ARGV[1], row[1])
    redis.call('XDEL', KEYS[k], row[1])
    if body then
      local entry = redis.call('XADD', target, '*', unpack(carried(body[2])))
      for f = 1, #body[2], 2 do
        local read, task = pcall(cjson.decode, body[2][f] == 'payload' and body[2][f + 1] or '')
        if read and type(task) == 'table' and type(task.id) == 'string' then
          redis.call('HSET', KEYS[6], task.id, letter .. entry)
        end
      end
      handed = handed + 1
    end
  end
end
for k = 1, 5 do redis.pcall('XGROUP', 'DELCONSUMER', KEYS[k], ARGV[1], ARGV[2]) end
redis.call('ZREM', KEYS[7], ARGV[2])
redis.call('DEL', KEYS[8], KEYS[9])
return {handed, 1}
