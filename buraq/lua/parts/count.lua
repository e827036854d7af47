-- Add to the statistics of a queue: numbers of 32 bits in one string, see buraq/statistics.py for where each is.
--
-- `sums` names counters and amounts, as in "2=250 8=249 9=1". They go into the slot of this minute and, those below 8,
-- into the one of this second. A slot says which time it is for; one whose time is over is emptied, and what a minute
-- held goes to its five minutes before that. What cannot be counted costs no task.
local function fold(key, slot, minute)
  local five = math.floor(minute / 5)
  local to = (62 + five % 289) * 128
  local stamp = redis.pcall('BITFIELD', key, 'GET', 'u32', '#' .. to)[1]
  if not stamp or stamp > five then return end
  local raw, add = redis.pcall('GETRANGE', key, slot * 4, slot * 4 + 511), {'BITFIELD', key, 'OVERFLOW', 'SAT'}
  if stamp < five then
    redis.pcall('SETRANGE', key, to * 4, string.rep('\0', 512))
    add[5], add[6], add[7], add[8] = 'SET', 'u32', '#' .. to, five
  end
  for counter = 1, #raw / 4 - 1 do
    local a, b, c, d = string.byte(raw, counter * 4 + 1, counter * 4 + 4)
    local amount, n = ((a * 256 + b) * 256 + c) * 256 + d, #add
    if amount > 0 then
      add[n + 1], add[n + 2], add[n + 3], add[n + 4] = 'INCRBY', 'u32', '#' .. (to + counter), amount
    end
  end
  redis.pcall(unpack(add))
end

local function count(key, second, sums)
  second = tonumber(second)
  local minute, now = math.floor(second / 60), second % 16 * 8
  local slot = (1 + minute % 61) * 128
  local seen = redis.pcall('BITFIELD', key, 'GET', 'u32', '#' .. now, 'GET', 'u32', '#' .. slot)
  if seen.err then return end
  local add, n = {'BITFIELD', key, 'OVERFLOW', 'SAT'}, 4
  if seen[1] ~= second then
    redis.pcall('SETRANGE', key, now * 4, string.rep('\0', 32))
    add[5], add[6], add[7], add[8], n = 'SET', 'u32', '#' .. now, second, 8
  end
  if seen[2] ~= minute then
    if seen[2] > 0 then fold(key, slot, seen[2]) end
    redis.pcall('SETRANGE', key, slot * 4, string.rep('\0', 512))
    redis.pcall('EXPIRE', key, 90000)
    add[n + 1], add[n + 2], add[n + 3], add[n + 4], n = 'SET', 'u32', '#' .. slot, minute, n + 4
  end
  for counter, amount in string.gmatch(sums, '(%d+)=(%d+)') do
    add[n + 1], add[n + 2], add[n + 3], add[n + 4], n = 'INCRBY', 'u32', '#' .. (slot + counter), amount, n + 4
    if #counter == 1 and counter < '8' then
      add[n + 1], add[n + 2], add[n + 3], add[n + 4], n = 'INCRBY', 'u32', '#' .. (now + counter), amount, n + 4
    end
  end
  redis.pcall(unpack(add))
end
