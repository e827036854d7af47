-- Accept a batch of tasks: each goes to its stream or, when it is due later, to the scheduled set.
--
-- KEYS[1] high       stream
-- KEYS[2] normal     stream
-- KEYS[3] low        stream
-- KEYS[4] front      stream; read only to confirm where a known task is
-- KEYS[5] suspects   stream; read only
-- KEYS[6] dlq        stream; read only
-- KEYS[7] scheduled  zset, task id -> due time
-- KEYS[8] tasks      hash, task id -> payload of a scheduled task
-- KEYS[9] index      hash, task id -> place
-- KEYS[10] memo      the last reply to this producer
-- KEYS[11] statistics  string of counters
-- KEYS[12+] owners   one idempotency key for each task that has one
-- ARGV[1] channel    of the events
-- ARGV[2] queue      its name as JSON, for the events
-- ARGV[3] number     of this batch; grows with each batch of the producer
-- ARGV[4] now_ms     unix time, empty for the server's
-- ARGV[5] keep_ms    life of an idempotency key, from the due time
-- ARGV[6] memo_ms    life of the memo
-- ARGV[7+] tasks     three each: id, how, payload. How is the stream, 1 to 3; or "stream,due,owner" for a task that has
--                    a due time in ms ('+' before a delay) or the position in KEYS of its owner: '' for none
--
-- Returns a flat list of what was not simply accepted, three each: position, word, detail.
--   "KNOWN" the task exists, "DUPLICATE" its key belongs to the task in detail, "REFUSED" for the reason in detail:
--   nothing is written for that task. A batch number seen last is answered from the memo, nothing is written.
--   An older number, or a memo or index of the wrong type, or with a due time among them a scheduled set of the wrong
--   type, is an error, nothing is written.
--
-- Uses count, listened, tell.

local memo = redis.call('GET', KEYS[10])
if memo then
  local number, reply = string.match(memo, '^(%d+) (.*)$')
  if number == ARGV[3] then return cjson.decode(reply) end
  if tonumber(number) > tonumber(ARGV[3]) then
    return redis.error_reply('STALE batch ' .. ARGV[3] .. ' came after ' .. number)
  end
end

local n, ids, plain = (#ARGV - 6) / 3, {}, true
for i = 1, n do
  ids[i], plain = ARGV[4 + 3 * i], plain and #ARGV[5 + 3 * i] == 1
end
-- Found after the first XADD, these would leave tasks that the index does not know.
if not plain then redis.call('ZCARD', KEYS[7]); redis.call('HLEN', KEYS[8]) end
local places = redis.call('HMGET', KEYS[9], unpack(ids))

-- Asked once: an event that nobody hears costs as much as to accept the task.
local heard = listened(ARGV[1])
local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = tonumber(ARGV[4]) or clock[1] * 1000 + math.floor(clock[2] / 1000)
local streams, letters = {['1'] = KEYS[1], ['2'] = KEYS[2], ['3'] = KEYS[3]}, {['1'] = 'h', ['2'] = 'n', ['3'] = 'l'}
local reply, rows, due_rows, task_rows, taken, claims = {}, {}, {}, {}, {}, {}

-- A row may be stale (a task settled by someone who does not keep the index): the place decides.
local function there(id, place)
  if not place then return false end
  local where, entry = string.sub(place, 1, 1), string.sub(place, 2)
  if where == 'z' then
    local due = redis.pcall('ZSCORE', KEYS[7], id)
    return type(due) == 'string', type(due) == 'table' and due.err
  end
  local key = where ~= '' and KEYS[string.find('hnlfsd', where, 1, true) or 0]
  local found = key and redis.pcall('XRANGE', key, entry, entry) or {}
  return #found > 0, found.err
end

local function verdict(id, place, due, owner)
  local known, unsure = there(id, place)
  if taken[id] or known then return 'KNOWN', '' end
  if unsure then return 'REFUSED', unsure end
  if due ~= '' and not (tonumber(due) and math.abs(tonumber(due)) < 9e15) then return 'REFUSED', 'due time ' .. due end
  if owner ~= '' then
    local holder = claims[owner] or redis.pcall('GET', KEYS[tonumber(owner)])
    if type(holder) == 'table' then return 'REFUSED', holder.err end
    if holder and holder ~= '1' then return 'DUPLICATE', holder end
  end
end

for i = 1, n do
  local id, how, payload, due, owner, wait, word, detail = ids[i], ARGV[5 + 3 * i], ARGV[6 + 3 * i], '', '', 0
  if not plain and #how > 1 then how, due, owner = string.match(how, '^(%d),(.*),(%d*)$') end
  local key, letter, mark = streams[how], letters[how], owner ~= '' and '1' or nil
  if places[i] or taken[id] or due ~= '' or mark then word, detail = verdict(id, places[i], due, owner) end
  if not word and due ~= '' then wait = tonumber(due) - (string.sub(due, 1, 1) == '+' and 0 or now) end
  if not word and wait <= 0 then
    local entry = mark and redis.pcall('XADD', key, '*', 'payload', payload, 'claimed', mark)
      or redis.pcall('XADD', key, '*', 'payload', payload)
    if type(entry) == 'table' then
      word, detail = 'REFUSED', entry.err
    else
      rows[#rows + 1], rows[#rows + 2] = id, letter .. entry
      if heard then tell_pending(ARGV[1], ARGV[2], id, payload, now_us + i) end
    end
  elseif not word then
    rows[#rows + 1], rows[#rows + 2] = id, 'z' .. letter .. (mark and 'k' or '-') .. '0'
    due_rows[#due_rows + 1], due_rows[#due_rows + 2] = string.format('%.0f', now + wait), id
    task_rows[#task_rows + 1], task_rows[#task_rows + 2] = id, payload
  end
  if word then
    reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = i, word, detail
  else
    taken[id] = true
    if mark then
      claims[owner] = id
      local life = math.max(0, wait) + tonumber(ARGV[5])
      redis.call('SET', KEYS[tonumber(owner)], id, 'PX', string.format('%.0f', life))
    end
  end
end
if #due_rows > 0 then
  redis.call('HSET', KEYS[8], unpack(task_rows))
  redis.call('ZADD', KEYS[7], unpack(due_rows))
end
if #rows > 0 then redis.call('HSET', KEYS[9], unpack(rows)) end
if #reply < 3 * n then count(KEYS[11], clock[1], '1=' .. n - #reply / 3) end
redis.call('SET', KEYS[10], ARGV[3] .. ' ' .. (#reply > 0 and cjson.encode(reply) or '{}'), 'PX', ARGV[6])
return reply
