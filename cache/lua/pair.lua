-- Pairs this Redis with a database, if it is still paired with the database that the caller read.
--
-- KEYS  1 pairing: HASH deployment, life
-- ARGV  1 deployment read, "" none  2 life read  3 new deployment  4 new life
-- Returns 1 if it is paired, 0 if another caller was faster.
local call = redis.call
local d, l = unpack(call('HMGET', KEYS[1], 'deployment', 'life'))
if (d or '') ~= ARGV[1] or (l or '') ~= ARGV[2] then return 0 end
though_full('HDEL', KEYS[1])
call('HSET', KEYS[1], 'deployment', ARGV[3], 'life', ARGV[4])
return 1
