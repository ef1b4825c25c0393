-- Returns whether values depend on a partition's records, so that their change must invalidate tags.
--
-- KEYS  1 stats
-- Returns "" no, else "w" on any record, "x" on single records, "wx" both
local now, m = now_ms(), redis.call('HMGET', KEYS[1], 'w', 'x')
return (number(m[1]) > now and 'w' or '') .. (number(m[2]) > now and 'x' or '')
