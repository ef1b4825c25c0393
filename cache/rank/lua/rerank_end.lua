-- Ends the rebuild of a partition's rank: it becomes the rank.
--
-- KEYS  1 stats  2 the rebuild  3 rank
-- ARGV  1 token of the rebuild  2 the mark of the rank
-- Returns 1, or 0 if the rebuild was over already
local call = redis.call
local token, till = unpack(call('HMGET', KEYS[1], 'kb', 'ku'))
if token ~= ARGV[1] or number(till) <= now_ms() then return 0 end
call('ZREMRANGEBYSCORE', KEYS[2], '+inf', '+inf')
if call('EXISTS', KEYS[2]) == 1 then call('RENAME', KEYS[2], KEYS[3]) else call('DEL', KEYS[3]) end
call('HSET', KEYS[1], 'k', ARGV[2])
call('HDEL', KEYS[1], 'kb', 'ku')
return 1
