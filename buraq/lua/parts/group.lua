-- Count dead letters by what they have in common. A group has three fields in the hash: its id holds the count,
-- "<id>:first" when its first letter died, "<id>:last" when its newest did and, after a blank, what its letters have in
-- common and the newest one's error, as JSON.
--
-- `group` returns whether it was counted: a new group is not where there are a thousand.
local function group(groups, id, now, facts)
  if id == '' then return false end
  local known = redis.call('HEXISTS', groups, id) == 1
  if not known and redis.call('HLEN', groups) >= 3000 then return false end
  redis.call('HINCRBY', groups, id, 1)
  if not known then redis.call('HSET', groups, id .. ':first', now) end
  redis.call('HSET', groups, id .. ':last', now .. ' ' .. facts)
  return true
end

local function ungroup(groups, id)
  if id == '' or redis.call('HEXISTS', groups, id) == 0 then return end
  if redis.call('HINCRBY', groups, id, -1) <= 0 then redis.call('HDEL', groups, id, id .. ':first', id .. ':last') end
end
