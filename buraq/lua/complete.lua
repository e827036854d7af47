-- Complete a batch of deliveries of one stream: their tasks returned, so their entries go away.
--
-- KEYS[1] stream    of the deliveries
-- KEYS[2] index     hash, task id -> place
-- KEYS[3] memo      hash of this worker process, lane -> its last reply
-- KEYS[4] statistics  string of counters
-- KEYS[5] history   stream of the completed tasks that are kept
-- KEYS[6] ids       hash, task id -> its newest record in a history
-- KEYS[7+] results  one key for each result that is kept
-- ARGV[1] group     consumer group
-- ARGV[2] channel   of the events
-- ARGV[3] lane      which memo
-- ARGV[4] number    of this settle round; grows
-- ARGV[5] count     n, how many deliveries
-- ARGV[6] notes     n, or 0 when nobody is known to listen
-- ARGV[7] sums      what the attempts add to the statistics, the number of tasks apart
-- ARGV[8] most      records in the history
-- ARGV[9] kept      how many records there are
-- ARGV[10+] batch   n entries, n ids, so many notes, two for each record: position, JSON, then three for each result:
--                   position, life in ms, JSON
--
-- Returns {remembered, heard, position of each delivery that was gone ...}. A gone one was settled by somebody
--   else: nothing is written for it. A number seen last is answered from the memo, nothing is written.
--   {2, 1} when there are no notes and somebody listens: nothing is written, and the batch is to come with notes.
--   An older number, a life that is no time, or a key of the wrong type, is an error, nothing is written.
--
-- Uses count, keep, listened, remembered, tell.

local before = remembered(KEYS[3], ARGV[3], ARGV[4])
if before then return before end

local n, notes = tonumber(ARGV[5]), tonumber(ARGV[6])
if notes == 0 and listened(ARGV[2]) then return {2, 1} end
-- Found after the XACK, what cannot be written would leave half of the batch undone.
redis.call('HLEN', KEYS[2])
local records = 10 + 2 * n + notes
local results = records + 2 * tonumber(ARGV[9])
for a = results, #ARGV, 3 do
  local life = ARGV[a + 1]
  if not string.match(life, '^[1-9]%d*$') or #life > 15 then return redis.error_reply('BADLIFE ' .. life) end
end
local entries, ids, gone, reply = {}, {}, {}, {0, 0}
for i = 1, n do
  entries[i] = ARGV[9 + i]
  ids[i] = ARGV[9 + n + i]
end

if redis.call('XACK', KEYS[1], ARGV[1], unpack(entries)) == n then
  redis.call('XDEL', KEYS[1], unpack(entries))
else
  local mine = {}
  for i = 1, n do
    if redis.call('XDEL', KEYS[1], entries[i]) == 1 then
      mine[#mine + 1] = ids[i]
    else
      gone[i] = true
      reply[#reply + 1] = i
    end
  end
  ids = mine
end
if #ids > 0 then redis.call('HDEL', KEYS[2], unpack(ids)) end
for a = results, #ARGV, 3 do
  if not gone[tonumber(ARGV[a])] then redis.call('SET', KEYS[7 + (a - results) / 3], ARGV[a + 2], 'PX', ARGV[a + 1]) end
end
redis.call('HSET', KEYS[3], ARGV[3], ARGV[4] .. ' ' .. table.concat(reply, ' ', 3))
for a = records, results - 1, 2 do
  local position = tonumber(ARGV[a])
  if not gone[position] then keep(KEYS[5], KEYS[6], 'c', ARGV[9 + n + position], ARGV[a + 1]) end
end
if results > records or ARGV[8] == '0' then forget(KEYS[5], KEYS[6], 'c', ARGV[8]) end
local clock = redis.call('TIME')
count(KEYS[4], clock[1], '2=' .. #ids .. ' ' .. ARGV[7])

if notes == 0 then return reply end
local now_us = clock[1] * 1000000 + clock[2]
for i = 1, n do
  if not gone[i] then
    if tell(ARGV[2], 'Completed', ARGV[9 + n + i], ARGV[9 + 2 * n + i], now_us + i) == 0 then return reply end
    reply[2] = 1
  end
end
return reply
