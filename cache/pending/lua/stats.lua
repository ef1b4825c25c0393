-- Reads a partition's counters and the sizes and heads of its lists at one moment.
--
-- KEYS  1 stats  2 pending  3 held  4 dead  5 opsAt
-- Returns {v, a, s, p, d, l, u, pending, held, dead, head of pending, of held, of dead,
--          1 or 0 paused, conflicts, operation ids}
local function head(key)
  return redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] or ''
end
local out = redis.call('HMGET', KEYS[1], 'v', 'a', 's', 'p', 'd', 'l', 'u')
for i = 1, 7 do out[i] = out[i] or '0' end
for i = 2, 4 do out[6 + i] = redis.call('ZCARD', KEYS[i]) end
for i = 2, 4 do out[9 + i] = head(KEYS[i]) end
out[14] = redis.call('HEXISTS', KEYS[1], 'z')
out[15] = redis.call('HGET', KEYS[1], 'c') or '0'
out[16] = redis.call('ZCARD', KEYS[5])
return out
