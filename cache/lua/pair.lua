-- Pairs this Redis with a database, if it is still paired with the one that the caller saw.
--
-- KEYS  1 pairing: HASH deployment, life
-- ARGV  1 deployment seen, "" none  2 life seen  3 deployment from now on  4 life
-- Returns 1 if it is paired, 0 if another caller was faster.
local call = redis.call
local d, l = unpack(call('HMGET', KEYS[1], 'deployment', 'life'))
if (d or '') ~= ARGV[1] or (l or '') ~= ARGV[2] then return 0 end
call('HDEL', KEYS[1], '') -- Redis that is full takes the rest of a script that began by taking away
call('HSET', KEYS[1], 'deployment', ARGV[3], 'life', ARGV[4])
return 1
