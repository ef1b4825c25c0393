-- Says whether values depend on a partition's records, so that their change must
-- invalidate tags.
--
-- KEYS  1 stats
-- Returns "" no, else "w" on any of them, "x" on single ones, "wx" both
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local m = redis.call('HMGET', KEYS[1], 'w', 'x')
return ((tonumber(m[1]) or 0) > now and 'w' or '') .. ((tonumber(m[2]) or 0) > now and 'x' or '')
