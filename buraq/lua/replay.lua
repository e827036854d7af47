-- Give a batch of dead letters another life: back to their streams, their idempotency keys claimed again.
--
-- KEYS[1] dlq       stream of the dead letters
-- KEYS[2] high      stream
-- KEYS[3] normal    stream
-- KEYS[4] low       stream
-- KEYS[5] index     hash, task id -> place
-- KEYS[6] groups    hash, dead letters counted by what they have in common
-- KEYS[7+] owners   one idempotency key for each task that has one
-- ARGV[1] channel   of the events
-- ARGV[2] queue     its name as JSON, for the events
-- ARGV[3] keep_ms   life of an idempotency key
-- ARGV[4+] letters  seven each: dead letter's entry, id, stream (2 to 4), payload with its retries set to 0, position
--                   in KEYS of its owner or '', attempts so far ('' for none), group ('' for none)
--
-- Returns a flat list of what was not replayed, two each: position, "GONE" when the dead letter is no longer there, or
--   "OWNED" when another task has its idempotency key: nothing is written for that one.
--   A key of the wrong type, or that the user may not write, is an error, nothing is written.
--
-- Uses group, tell.

-- Found after an XDEL, a key of the wrong type would have lost the task, and so would one that may not be written.
for k = 2, 4 do redis.call('XLEN', KEYS[k]) end
redis.call('HLEN', KEYS[5])
redis.call('HLEN', KEYS[6])
local needed = {{'hset', KEYS[5], 'a', 'b'}, {'hincrby', KEYS[6], 'a', 1}, {'hdel', KEYS[6], 'a'}}
for k = 2, 4 do needed[#needed + 1] = {'xadd', KEYS[k], '*', 'a', 'b'} end
for k = 7, #KEYS do needed[#needed + 1] = {'set', KEYS[k], 'a'} end
for _, words in ipairs(redis.acl_check_cmd and needed or {}) do
  if not redis.acl_check_cmd(unpack(words)) then
    return redis.error_reply('NOPERM this user may not ' .. words[1] .. ' ' .. words[2])
  end
end
local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local letters, rows, reply, heard = {[2] = 'h', [3] = 'n', [4] = 'l'}, {}, {}, true
for i = 1, (#ARGV - 3) / 7 do
  local a = 4 + (i - 1) * 7
  local entry, id, stream, payload, owner = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 2]), ARGV[a + 3], ARGV[a + 4]
  local holder = owner ~= '' and redis.pcall('GET', KEYS[tonumber(owner)])
  if holder and holder ~= '1' and holder ~= id then
    reply[#reply + 1], reply[#reply + 2] = i, 'OWNED'
  elseif redis.call('XDEL', KEYS[1], entry) == 0 then
    reply[#reply + 1], reply[#reply + 2] = i, 'GONE'
  else
    local fields = {'payload', payload}
    if owner ~= '' then
      redis.call('SET', KEYS[tonumber(owner)], id, 'PX', ARGV[3])
      fields[3], fields[4] = 'claimed', '1'
    end
    if ARGV[a + 5] ~= '' then fields[#fields + 1], fields[#fields + 2] = 'attempts', ARGV[a + 5] end
    local added = redis.call('XADD', KEYS[stream], '*', unpack(fields))
    ungroup(KEYS[6], ARGV[a + 6])
    rows[#rows + 1], rows[#rows + 2] = id, letters[stream] .. added
    heard = heard and tell_pending(ARGV[1], ARGV[2], id, payload, now_us + i) ~= 0
  end
end
if #rows > 0 then redis.call('HSET', KEYS[5], unpack(rows)) end
return reply
