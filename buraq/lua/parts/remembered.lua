-- Return what a settle round was answered before, nil for a round that is new. The memo of a lane is the number of its
-- last round and the positions of the deliveries that were gone. An older number is an error.
local function remembered(memos, lane, number)
  local memo = redis.call('HGET', memos, lane)
  if not memo then return nil end
  local last = string.match(memo, '^%d+')
  if tonumber(last) > tonumber(number) then return redis.error_reply('STALE round ' .. number) end
  if last ~= number then return nil end
  local reply = {1, 0}
  for position in string.gmatch(memo, ' (%d+)') do reply[#reply + 1] = tonumber(position) end
  return reply
end
