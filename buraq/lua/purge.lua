-- Delete dead letters for good.
--
-- KEYS[1] dlq       stream of the dead letters
-- KEYS[2] index     hash, task id -> place
-- KEYS[3] groups    hash, dead letters counted by what they have in common
-- ARGV[1+] letters  three each: entry, id ('' when it could not be read), group ('' for none)
--
-- Returns how many were deleted. One that is no longer there is passed over, nothing is written for it.
--   A key of the wrong type is an error, nothing is written.
--
-- Uses group.

redis.call('HLEN', KEYS[2])
redis.call('HLEN', KEYS[3])
local deleted = 0
for i = 1, #ARGV, 3 do
  if redis.call('XDEL', KEYS[1], ARGV[i]) == 1 then
    deleted = deleted + 1
    ungroup(KEYS[3], ARGV[i + 2])
    if ARGV[i + 1] ~= '' and redis.call('HGET', KEYS[2], ARGV[i + 1]) == 'd' .. ARGV[i] then
      redis.call('HDEL', KEYS[2], ARGV[i + 1])
    end
  end
end
return deleted
