-- Returns whether values depend on a partition's records, so that their change must invalidate tags.
--
-- KEYS  1 stats
-- Returns what dependents of the prelude returns
local m = redis.call('HMGET', KEYS[1], 'w', 'x')
return dependents(m[1], m[2], now_ms())
