-- Keeps the lease of a load that goes on.
--
-- KEYS  1 lease
-- ARGV  1 lease token  2 lease, ms
-- Returns 1, or 0 where the lease is gone
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
