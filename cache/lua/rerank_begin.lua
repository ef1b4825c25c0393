-- Begins to rebuild a partition's rank: from now on every write and fill puts its record
-- into the rebuild, too. One that is under way ends.
--
-- KEYS  1 stats  2 the rebuild
-- ARGV  1 token: the field that ranks the records, ":" and a fresh text  2 life, ms
local time = redis.call('TIME')
local till = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'kb', ARGV[1], 'ku', string.format('%.0f', till))
return 1
