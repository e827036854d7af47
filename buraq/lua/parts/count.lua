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
  local add, n = {'BITFIELD', key, 'OVERFLOW', 'SAT', 'GET', 'u32', now * 32, 'GET', 'u32', slot * 32}, 10
  for counter, amount in string.gmatch(sums, '(%d+)=(%d+)') do
    add[n + 1], add[n + 2], add[n + 3], add[n + 4], n = 'INCRBY', 'u32', (slot + counter) * 32, amount, n + 4
    if #counter == 1 and counter < '8' then
      add[n + 1], add[n + 2], add[n + 3], add[n + 4], n = 'INCRBY', 'u32', (now + counter) * 32, amount, n + 4
    end
  end
  -- To ask first would cost as much again. So it is added to whatever slots there are, and where the time of one was
  -- over, once a second, it is taken out again, and added when the slot is ready.
  local seen = redis.pcall(unpack(add))
  if seen.err or seen[1] == second and seen[2] == minute then return end
  for at = 14, n, 4 do add[at] = '-' .. add[at] end
  redis.pcall(unpack(add))
  if seen[1] ~= second then
    redis.pcall('SETRANGE', key, now * 4, string.rep('\0', 32))
    redis.pcall('BITFIELD', key, 'SET', 'u32', now * 32, second)
  end
  if seen[2] ~= minute then
    if seen[2] > 0 then fold(key, slot, seen[2]) end
    redis.pcall('SETRANGE', key, slot * 4, string.rep('\0', 512))
    redis.pcall('BITFIELD', key, 'SET', 'u32', slot * 32, minute)
    redis.pcall('EXPIRE', key, 90000)
  end
  for at = 14, n, 4 do add[at] = string.sub(add[at], 2) end
  redis.pcall(unpack(add))
end
