-- Sets a value, or drops it, and removes the lease of a load that may have read what was
-- before. Tells the caches in processes.
--
-- KEYS  1 value  2 lease
-- ARGV  1 ttl, ms ("0": drop)  2 the value  3 event channel, "" for none  4 message
-- Returns 1 if there was a value, else 0
local had
if ARGV[1] == '0' then
  had = redis.call('UNLINK', KEYS[1])
else
  had = redis.call('EXISTS', KEYS[1])
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[1])
end
redis.call('DEL', KEYS[2])
if ARGV[3] ~= '' then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
return had
