-- Puts a loaded value into the cache, if the lease it was loaded under is still there:
-- a change, a deletion or an invalidation has removed it otherwise.
--
-- KEYS  1 value  2 lease
-- ARGV  1 lease token  2 ttl, ms ("0": give the lease back, and keep what is there)
--       3 the value
-- Returns 1 filled, 0 not
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
if ARGV[2] == '0' then return 0 end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])
return 1
