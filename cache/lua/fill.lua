-- Puts a loaded row into the cache if the lease that it was loaded under still exists. Otherwise a write, a deletion or
-- an invalidation has removed the lease, and the row may be older than what they left.
--
-- KEYS  1 stats  2 record  3 rank  4 its rebuild  5 unsure ranks
-- ARGV  1 lease token  2 ttl, ms  3 "1" the row exists, "0" it does not
--       4 id  5 its member  6 score, "null" none, "" records are not ranked
--       7 partitions of the entity
--       8… field, value
-- Returns the version that the fill took, or "" if the lease was gone, or if the
-- partition runs with another number of partitions: nothing would keep the record fresh
local v, lease = unpack(redis.call('HMGET', KEYS[2], '_v', '_l'))
if v or not lease or lease ~= ARGV[1] then return '' end
local last, partitions = unpack(redis.call('HMGET', KEYS[1], 'v', 'n'))
if partitions and partitions ~= ARGV[7] then return '' end
local now = now_us()
local version = next_version(last, now)
if ARGV[3] == '1' then
  redis.call('HSET', KEYS[2], '_v', version, unpack(ARGV, 8))
else
  redis.call('HSET', KEYS[2], '_v', version, '_d', '1')
end
redis.call('HDEL', KEYS[2], '_l')
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('HSET', KEYS[1], 'v', version)
if ARGV[6] ~= '' then seat(KEYS[1], KEYS[3], KEYS[4], KEYS[5], now / 1000, ARGV[4], ARGV[5], ARGV[6]) end
return version
