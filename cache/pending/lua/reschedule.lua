-- Sets another time for the next attempt of held records, unless it has changed since it was read.
--
-- KEYS  1 held
-- ARGV  for each record id, the time it was read with, the new time (ms)
-- Returns the number of records rescheduled
though_full('ZREM', KEYS[1])
local n = 0
for i = 1, #ARGV, 3 do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    redis.call('ZADD', KEYS[1], ARGV[i + 2], ARGV[i])
    n = n + 1
  end
end
return n
