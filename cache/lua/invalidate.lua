-- Drops persisted records from the cache, and the leases of loads that may have read an
-- older row. A pending, held or dead record is never dropped; nor is the barrier of a write
-- that is on its way to the database, behind which nothing is cached.
--
-- KEYS  1 stats  2 unsure ranks  3… the records
-- ARGV  1 event channel  2 most ids of unsure rank, 0 records are not ranked  3… the ids
-- Returns the number of records dropped
local now = now_ms()
local dropped, event = 0, { 'invalidated', whole(now) }
for i = 3, #KEYS do
  local v, s, barrier = unpack(redis.call('HMGET', KEYS[i], '_v', '_s', '_b'))
  if not s and not barrier then
    redis.call('DEL', KEYS[i])
    event[#event + 1], event[#event + 2] = ARGV[i], '0'
    if ARGV[2] ~= '0' then redis.call('SADD', KEYS[2], ARGV[i]) end
    if v then dropped = dropped + 1 end
  end
end
-- Of so many changed rows it is better to read all again.
if ARGV[2] ~= '0' and redis.call('SCARD', KEYS[2]) > tonumber(ARGV[2]) then
  redis.call('DEL', KEYS[2])
  redis.call('HDEL', KEYS[1], 'k', 'kb', 'ku')
end
if #event > 2 then
  event[2] = event[2] .. '/' .. redis.call('HINCRBY', KEYS[1], 'q', 1)
  if number(redis.call('HGET', KEYS[1], 'e')) > now then
    redis.call('PUBLISH', ARGV[1], cjson.encode(event))
  end
end
return dropped
