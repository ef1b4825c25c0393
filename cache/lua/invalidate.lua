-- Drops persisted records from the cache, and the leases of loads that may have read an
-- older row. A pending, held or dead record is never dropped; nor is the barrier of a write
-- that is on its way to the database, behind which nothing is cached.
--
-- KEYS  1 stats  2… the records
-- ARGV  1 event channel  2… the ids
-- Returns the number of records dropped
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local dropped, event = 0, { 'invalidated', string.format('%.0f', now) }
for i = 2, #KEYS do
  local v, s, barrier = unpack(redis.call('HMGET', KEYS[i], '_v', '_s', '_b'))
  if not s and not barrier then
    redis.call('DEL', KEYS[i])
    event[#event + 1], event[#event + 2] = ARGV[i], '0'
    if v then dropped = dropped + 1 end
  end
end
if #event > 2 then
  event[2] = event[2] .. '/' .. redis.call('HINCRBY', KEYS[1], 'q', 1)
  if (tonumber(redis.call('HGET', KEYS[1], 'e')) or 0) > now then
    redis.call('PUBLISH', ARGV[1], cjson.encode(event))
  end
end
return dropped
