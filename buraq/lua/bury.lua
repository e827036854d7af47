-- Move a batch of deliveries of one stream to the dead letters, and free their idempotency keys.
--
-- KEYS[1] stream    of the deliveries
-- KEYS[2] index     hash, task id -> place
-- KEYS[3] memo      hash of this worker process, lane -> its last reply
-- KEYS[4] dlq       stream of the dead letters
-- KEYS[5] groups    hash, dead letters counted by what they have in common
-- KEYS[6] statistics  string of counters
-- KEYS[7] history   stream of the buried tasks that are kept
-- KEYS[8] ids       hash, task id -> its newest record in a history
-- KEYS[9+] owners   one idempotency key for each task that has one
-- ARGV[1] group     consumer group
-- ARGV[2] channel   of the events
-- ARGV[3] lane      which memo
-- ARGV[4] number    of this settle round; grows
-- ARGV[5] count     n, how many deliveries
-- ARGV[6] now_ms    unix time, empty for the server's
-- ARGV[7] sums      what the attempts add to the statistics, the number of tasks apart
-- ARGV[8] most      records in the history
-- ARGV[9+] batch    n entries, n ids ('' when it could not be read), n notes ('' when nobody is known to listen),
--                   n positions in KEYS of the owner or '', n groups, n facts that their groups have in common,
--                   n records ('' for none), then for each delivery: how many strings follow, and the fields and
--                   values of its dead letter
--
-- Returns {remembered, heard, position of each delivery that was gone ...}. A gone one was settled by somebody
--   else: nothing is written for it. A number seen last is answered from the memo, nothing is written.
--   {2, 1} when there are no notes and somebody listens: nothing is written, and the batch is to come with notes.
--   An older number, or a key of the wrong type, is an error, nothing is written.
--
-- Uses count, group, keep, listened, remembered, tell.

local before = remembered(KEYS[3], ARGV[3], ARGV[4])
if before then return before end

local n = tonumber(ARGV[5])
if ARGV[9 + 2 * n] == '' and listened(ARGV[2]) then return {2, 1} end
local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = tonumber(ARGV[6]) or clock[1] * 1000 + math.floor(clock[2] / 1000)
-- Found after the XACK, a key of the wrong type would have lost the task.
redis.call('XLEN', KEYS[4])
redis.call('HLEN', KEYS[2])
redis.call('HLEN', KEYS[5])
local entries, letters, at = {}, {}, 9 + 7 * n
for i = 1, n do
  entries[i] = ARGV[8 + i]
  local fields = {}
  for j = 1, tonumber(ARGV[at]) do fields[j] = ARGV[at + j] end
  letters[i], at = fields, at + 1 + tonumber(ARGV[at])
end

local reply, rows, heard, died = {0, 0}, {}, ARGV[9 + 2 * n] ~= '', string.format('%.0f', now)
local all = redis.call('XACK', KEYS[1], ARGV[1], unpack(entries)) == n
if all then redis.call('XDEL', KEYS[1], unpack(entries)) end
for i = 1, n do
  local id, owner, kin, record = ARGV[8 + n + i], ARGV[8 + 3 * n + i], ARGV[8 + 4 * n + i], ARGV[8 + 6 * n + i]
  if all or redis.call('XDEL', KEYS[1], entries[i]) == 1 then
    local fields = letters[i]
    if group(KEYS[5], kin, died, ARGV[8 + 5 * n + i]) then
      table.insert(fields, 1, kin)
      table.insert(fields, 1, 'group')
    end
    local entry = redis.call('XADD', KEYS[4], '*', 'died_at', died, unpack(fields))
    if record ~= '' then keep(KEYS[7], KEYS[8], 'd', id, record) end
    if id ~= '' then
      rows[#rows + 1] = id
      rows[#rows + 1] = 'd' .. entry
    end
    if owner ~= '' and redis.pcall('GET', KEYS[tonumber(owner)]) == id then redis.call('DEL', KEYS[tonumber(owner)]) end
    heard = heard and tell(ARGV[2], 'DLQ', id, ARGV[8 + 2 * n + i], now_us + i) ~= 0
  else
    reply[#reply + 1] = i
  end
end
if #rows > 0 then redis.call('HSET', KEYS[2], unpack(rows)) end
forget(KEYS[7], KEYS[8], 'd', ARGV[8])
count(KEYS[6], clock[1], '4=' .. n - #reply + 2 .. ' ' .. ARGV[7])
reply[2] = heard and 1 or 0
redis.call('HSET', KEYS[3], ARGV[3], ARGV[4] .. ' ' .. table.concat(reply, ' ', 3))
return reply
