-- Renew the lease of a worker process, and write down what it says of itself.
--
-- KEYS[1] leases   zset, worker process -> lease expiry by this server's clock
-- KEYS[2] worker   hash, facts of the worker process
-- KEYS[3] memo     hash, the last settle replies of the worker process
-- ARGV[1] name     of the worker process
-- ARGV[2] ttl_ms   how long the lease holds
-- ARGV[3] now_ms   unix time, empty for the server's
-- ARGV[4] keep_ms  how long lapsed leases, facts and memos are kept
-- ARGV[5+] facts   field and value pairs
--
-- Returns {lapsed, server time in ms}: lapsed is 1 when the lease was not valid before this call, so that others may
--   have taken what the process held. Always written; facts that cannot be are left out. A time that is no number is
--   an error, nothing is written.

local clock = redis.call('TIME')
local now = tonumber(ARGV[3]) or clock[1] * 1000 + math.floor(clock[2] / 1000)
local lapsed = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0) <= now and 1 or 0
local expiry = string.format('%.0f', now + tonumber(ARGV[2]))
local forgotten = string.format('%.0f', now - tonumber(ARGV[4]))
-- A server at maxmemory refuses the first write that needs memory, but not one that follows a ZREM.
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], expiry, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', forgotten)
local facts = {}
for i = 5, #ARGV do facts[#facts + 1] = ARGV[i] end
if #facts > 0 then
  -- What a process says of itself must not cost it its lease.
  redis.pcall('HSET', KEYS[2], unpack(facts))
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
-- A memo that a settle made would have no end, and stay for ever if the process died before its next lease.
redis.pcall('HSETNX', KEYS[3], 'since', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[3], ARGV[4])
return {lapsed, now}
