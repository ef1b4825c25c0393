-- Ends a session. A tombstone keeps a commit in progress from restoring it.
--
-- KEYS  1 session
-- ARGV  1 life of the tombstone, ms  2 "1": only if it is the user's  3 user
-- Returns 1 if the session existed, else 0
local data, user = unpack(redis.call('HMGET', KEYS[1], 'd', 'u'))
if ARGV[2] == '1' and data and user ~= ARGV[3] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'x', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return data and 1 or 0
