-- Removes ids from the lists whose record does not exist: Redis has lost it, and a missing key is never treated as a
-- deletion. Lost records are counted, so that the accounting shows them.
--
-- KEYS  1 stats  2 pending  3 held  4 dead  5 why  6 unsure ranks  7 letters
--       8… the records
-- ARGV  1 the field that ranks the records, "" none  2… the ids
-- Returns the number of ids removed
though_full('HDEL', KEYS[1])
local lost = 0
for i = 8, #KEYS do
  local id = ARGV[i - 6]
  if not redis.call('HGET', KEYS[i], '_v') then
    lost = lost + redis.call('ZREM', KEYS[2], id) + redis.call('ZREM', KEYS[3], id)
        + redis.call('ZREM', KEYS[4], id)
    redis.call('HDEL', KEYS[5], id)
    -- The fate of its letters is now unknown.
    if redis.call('EXISTS', KEYS[7]) == 1 then redis.call('SADD', KEYS[7], 'lost:' .. id) end
    if ARGV[1] ~= '' then redis.call('SADD', KEYS[6], id) end
  end
end
if lost > 0 then redis.call('HINCRBY', KEYS[1], 'l', lost) end
return lost
