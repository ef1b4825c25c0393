-- Reads the stamp of the newest invalidation, before a load begins. A value is invalid if
-- one of its tags has a newer stamp than that.
--
-- KEYS  1 tags: ZSET tag → stamp; "n" the newest, "f" the floor, "b" when it was made
-- Returns {newest, b}
local n = redis.call('ZSCORE', KEYS[1], 'n')
if not n then
  n = whole(now_us())
  redis.call('ZADD', KEYS[1], n, 'n', n, 'f', n, 'b')
end
local born = redis.call('ZSCORE', KEYS[1], 'b')
return { whole(tonumber(n)), whole(tonumber(born)) }
