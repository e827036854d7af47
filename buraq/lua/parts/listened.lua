-- Whether anybody listens to a channel, by its name or by a pattern; where it may not be asked, somebody may.
local function listened(channel)
  local exact, patterns = redis.pcall('PUBSUB', 'NUMSUB', channel), redis.pcall('PUBSUB', 'NUMPAT')
  return exact.err or exact[2] > 0 or patterns ~= 0
end
