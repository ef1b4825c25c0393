-- Gives a value another time to live, if it is still the one that was looked at.
--
-- KEYS  1 value
-- ARGV  1 its id  2 ttl, ms
-- Returns 1, or 0 where another is there or none
if redis.call('GETRANGE', KEYS[1], 2, 9) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
