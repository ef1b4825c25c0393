-- Notes the last turn that was committed, if the notes are still those that were read. Call it while the partition's
-- fence is locked. What was read ahead of that, from the older Redis, is not to be written: its token is removed.
--
-- KEYS  1 stats
-- ARGV  1, 2 the notes that were read, "" none  3 the turn
-- Returns 1, or 0 if there are other notes
local t, y = unpack(redis.call('HMGET', KEYS[1], 't', 'y'))
if (t or '') ~= ARGV[1] or (y or '') ~= ARGV[2] then return 0 end
though_full('HDEL', KEYS[1])
redis.call('HDEL', KEYS[1], 'y', 'h', 'i', 'm')
redis.call('HSET', KEYS[1], 't', ARGV[3])
return 1
