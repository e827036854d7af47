-- Take entries of one stream from a dead worker process and give them another chance, or bury them.
--
-- KEYS[1] stream    of the entries
-- KEYS[2] front     stream, for fewer than two deaths
-- KEYS[3] suspects  stream, for two deaths or more
-- KEYS[4] dlq       stream of the dead letters
-- KEYS[5] index     hash, task id -> place
-- KEYS[6] leases    zset, worker process -> lease expiry
-- KEYS[7] groups    hash, dead letters counted by what they have in common
-- KEYS[8] statistics  string of counters
-- KEYS[9] history   stream of the buried tasks that are kept
-- KEYS[10] ids      hash, task id -> its newest record in a history
-- KEYS[11+] owners  one idempotency key for each buried task that has one
-- ARGV[1] group     consumer group
-- ARGV[2] channel   of the events
-- ARGV[3] caller    worker process that asks
-- ARGV[4] dead      worker process whose entries these are
-- ARGV[5] now_ms    unix time, empty for the server's
-- ARGV[6] most      records in the history
-- ARGV[7+] entries  ten each: entry, id, target (2 front, 3 suspects, 4 dlq), deaths, note, position in KEYS of the
--                   owner or '', attempts so far, group, facts that it has in common, record ('' for none)
--
-- Returns {"OK", given another chance, buried, consumer deleted (1 or 0)}. An entry that is not pending under the dead
--   process is left alone. {"NOLEASE"} when the caller's own lease is not valid, {"ALIVE"} when the other's is:
--   nothing is written. A key of the wrong type, or no group, is an error, nothing is written.
--
-- Uses carried, count, group, keep, tell.

local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = tonumber(ARGV[5]) or clock[1] * 1000 + math.floor(clock[2] / 1000)
if tonumber(redis.call('ZSCORE', KEYS[6], ARGV[3]) or 0) <= now then return {'NOLEASE'} end
if tonumber(redis.call('ZSCORE', KEYS[6], ARGV[4]) or 0) > now then return {'ALIVE'} end

-- Found after an XACK, a key of the wrong type would have lost the task.
for k = 2, 4 do redis.call('XLEN', KEYS[k]) end
redis.call('HLEN', KEYS[5])
redis.call('HLEN', KEYS[7])
local again, buried, heard = 0, 0, true
local targets, rows = {[2] = 'f', [3] = 's', [4] = 'd'}, {}
for i = 1, (#ARGV - 6) / 10 do
  local a, died = 7 + (i - 1) * 10, string.format('%.0f', now)
  local entry, id, target, deaths, owner = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 2]), ARGV[a + 3], ARGV[a + 5]
  if #redis.call('XPENDING', KEYS[1], ARGV[1], entry, entry, 1, ARGV[4]) > 0 then
    local body = redis.call('XRANGE', KEYS[1], entry, entry)[1]
    redis.call('XACK', KEYS[1], ARGV[1], entry)
    redis.call('XDEL', KEYS[1], entry)
    -- Without a body there is nothing left to run: somebody deleted the entry.
    if body then
      local fields = {'deaths', deaths}
      if target == 4 then fields = {'died_at', died, 'reason', 'crashed', 'deaths', deaths} end
      if ARGV[a + 6] ~= '' then fields[#fields + 1], fields[#fields + 2] = 'attempts', ARGV[a + 6] end
      if target == 4 and group(KEYS[7], ARGV[a + 7], died, ARGV[a + 8]) then
        fields[#fields + 1], fields[#fields + 2] = 'group', ARGV[a + 7]
      end
      local words = carried(body[2])
      for f = 1, #words, 2 do
        local name = words[f]
        if name ~= 'deaths' and name ~= 'attempts' and not (target == 4 and name == 'claimed') then
          fields[#fields + 1], fields[#fields + 2] = name, words[f + 1]
        end
      end
      local added = redis.call('XADD', KEYS[target], '*', unpack(fields))
      if target == 4 then buried = buried + 1 else again = again + 1 end
      if ARGV[a + 9] ~= '' then keep(KEYS[9], KEYS[10], 'd', id, ARGV[a + 9]) end
      if id ~= '' then rows[#rows + 1], rows[#rows + 2] = id, targets[target] .. added end
      owner = KEYS[tonumber(owner)]
      if owner and redis.pcall('GET', owner) == id then redis.call('DEL', owner) end
      heard = heard and tell(ARGV[2], target == 4 and 'DLQ' or 'Pending', id, ARGV[a + 4], now_us + i) ~= 0
    end
  end
end
if #rows > 0 then redis.call('HSET', KEYS[5], unpack(rows)) end
if buried > 0 then
  forget(KEYS[9], KEYS[10], 'd', ARGV[6])
  count(KEYS[8], clock[1], '4=' .. buried)
end
-- DELCONSUMER throws pending entries away: only here, where nothing can come between the look and the deed.
local left = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[4])
if #left == 0 then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[4]) end
return {'OK', again, buried, #left == 0 and 1 or 0}
