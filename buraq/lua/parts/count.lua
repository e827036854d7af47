-- Add to the statistics of a queue: to the slot of this second, of this minute and of these five minutes.
--
-- The key holds 366 slots of 128 numbers each (see buraq/statistics.py). The first number of a slot says which second,
-- minute or five minutes it is for; one whose time is over is emptied. What cannot be counted costs no task.
-- `sums` names counters and amounts, as in "2=250 8=249 9=1".
local function count(key, second, sums)
  local rings, ask = {{1, 16, 0}, {60, 61, 16}, {300, 289, 77}}, {'BITFIELD', key}
  for _, ring in ipairs(rings) do
    ring.stamp = math.floor(second / ring[1])
    ring.slot = (ring[3] + ring.stamp % ring[2]) * 128
    ask[#ask + 1], ask[#ask + 2], ask[#ask + 3] = 'GET', 'u32', '#' .. ring.slot
  end
  local seen, add = redis.pcall(unpack(ask)), {'BITFIELD', key, 'OVERFLOW', 'SAT'}
  if seen.err then return end
  for r, ring in ipairs(rings) do
    if seen[r] ~= ring.stamp then
      redis.pcall('SETRANGE', key, ring.slot * 4, string.rep('\0', 512))
      redis.pcall('EXPIRE', key, 90000)
      add[#add + 1], add[#add + 2], add[#add + 3], add[#add + 4] = 'SET', 'u32', '#' .. ring.slot, ring.stamp
    end
    for counter, amount in string.gmatch(sums, '(%d+)=(%d+)') do
      if r > 1 or #counter == 1 and counter < '8' then -- the seconds have no histograms
        local n = #add
        add[n + 1], add[n + 2], add[n + 3], add[n + 4] = 'INCRBY', 'u32', '#' .. (ring.slot + counter), amount
      end
    end
  end
  redis.pcall(unpack(add))
end
