-- Releases a lease under which nothing will be filled, so that no reader waits for it.
--
-- KEYS  1 record
-- ARGV  1 lease token
-- Returns 1, or 0 if the lease is another one or gone
if redis.call('HGET', KEYS[1], '_l') ~= ARGV[1] then return 0 end
return redis.call('HDEL', KEYS[1], '_l')
