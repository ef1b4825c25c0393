-- Says that somebody listens to a partition's events until a time from now.
--
-- KEYS  1 stats
-- ARGV  1 time, ms
local time = redis.call('TIME')
local till = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
if (tonumber(redis.call('HGET', KEYS[1], 'e')) or 0) < till then
  redis.call('HSET', KEYS[1], 'e', string.format('%.0f', till))
end
return 1
