-- Gives a partition another number of partitions, if it has no unpersisted records. Writers that run with the old
-- number are rejected from then on.
--
-- KEYS  1 stats  2 pending  3 held  4 dead  5 rank  6 its rebuild  7 unsure ranks
-- ARGV  1 the new number
-- Returns 1, or 0 if there are unpersisted records
for i = 2, 4 do
  if redis.call('EXISTS', KEYS[i]) == 1 then return 0 end
end
though_full('HDEL', KEYS[1])
redis.call('HSET', KEYS[1], 'n', ARGV[1])
redis.call('DEL', KEYS[5], KEYS[6], KEYS[7])
redis.call('HDEL', KEYS[1], 'k', 'kb', 'ku')
return 1
