-- Gives a partition another number of partitions, if nothing in it waits for the
-- database. Writers that run with the old number are refused from then on.
--
-- KEYS  1 stats  2 pending  3 held  4 dead
-- ARGV  1 the new number
-- Returns 1, or 0 where something waits
for i = 2, 4 do
  if redis.call('EXISTS', KEYS[i]) == 1 then return 0 end
end
redis.call('HSET', KEYS[1], 'n', ARGV[1])
return 1
