-- Keep what became of tasks in one of the queue's histories, and forget the oldest beyond `most`.
--
-- `ids` says of each task where its newest record is: the letter of the history and the entry.
-- What cannot be kept costs no task.
local function keep(history, ids, letter, id, record)
  local entry = redis.pcall('XADD', history, '*', 'id', id, 'record', record)
  if type(entry) == 'string' then redis.pcall('HSET', ids, id, letter .. entry) end
end

local function forget(history, ids, letter, most)
  local length = redis.pcall('XLEN', history)
  local over = type(length) == 'number' and length - tonumber(most) or 0
  if over <= 0 then return end
  local old, entries, names, mine = redis.pcall('XRANGE', history, '-', '+', 'COUNT', math.min(over, 500)), {}, {}, {}
  for i, row in ipairs(old) do entries[i], names[i] = row[1], row[2][2] end
  if #entries == 0 then return end
  local newest = redis.pcall('HMGET', ids, unpack(names))
  for i, entry in ipairs(entries) do
    if newest[i] == letter .. entry then mine[#mine + 1] = names[i] end
  end
  redis.pcall('XDEL', history, unpack(entries))
  if #mine > 0 then redis.pcall('HDEL', ids, unpack(mine)) end
end
