-- Says that values depend on a partition's records until a time from now: its changes must
-- invalidate tags.
--
-- KEYS  1 stats
-- ARGV  1 "w" the tag of the entity, "x" those of its records  2 time, ms
local time = redis.call('TIME')
local till = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
if (tonumber(redis.call('HGET', KEYS[1], ARGV[1])) or 0) < till then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', till))
end
return 1
