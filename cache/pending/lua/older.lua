-- Begins to repair a partition of a Redis that is older than the flushes that the database has seen: new writes get
-- versions above all that those have read, and sync tasks generations above all that were given. Call it while the
-- partition's fence is locked.
--
-- KEYS  1 stats
-- ARGV  1 the last turn that was committed  2 the newest version that was read
-- Returns {} if that turn is noted, else {the notes, two texts, and Redis time in ms}
local t, y, version, g = unpack(redis.call('HMGET', KEYS[1], 't', 'y', 'v', 'g'))
if t == ARGV[1] or y == ARGV[1] then return {} end
local now, last = now_us(), tonumber(ARGV[2])
-- Where the clock was set back versions go on from the last, and more may have been given than were read: an hour's.
if now <= last then last = last + 3600000000 end
though_full('HDEL', KEYS[1])
redis.call('HDEL', KEYS[1], 'u')
if number(version) < last then redis.call('HSET', KEYS[1], 'v', whole(last)) end
if number(g) < now_ms() then redis.call('HSET', KEYS[1], 'g', whole(now_ms())) end
return { t or '', y or '', whole(now_ms()) }
