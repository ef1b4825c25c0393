-- Puts held or dead records back to pending, with zero attempts, at an operator's request. A record at another version,
-- or in another state, is left unchanged.
--
-- KEYS  1 stats  2 pending  3 held  4 dead  5 why  6… the records
-- ARGV  1 margin of the scheduled flag, ms  2 flush delay, ms  3… for each record id, version
-- Returns {generation to enqueue a sync task for or "", 1 or 0 for each record: put back or not}
local call = redis.call
though_full('HDEL', KEYS[1])
local now = now_ms()
local out, back = { '' }, 0
for i = 6, #KEYS do
  local at = 3 + (i - 6) * 2
  local id = ARGV[at]
  local m = call('HMGET', KEYS[i], '_v', '_s')
  local moved = m[1] == ARGV[at + 1] and (m[2] == 'h' or m[2] == 'd')
  if moved then
    call('ZADD', KEYS[2], now, id)
    call('HSET', KEYS[i], '_s', 'p')
    call('ZREM', m[2] == 'h' and KEYS[3] or KEYS[4], id)
    call('HDEL', KEYS[5], id)
    back = back + 1
  end
  out[i - 4] = moved and 1 or 0
end
if back > 0 then
  local g, u, paused = unpack(call('HMGET', KEYS[1], 'g', 'u', 'z'))
  if not paused and number(u) <= now then out[1] = claim(KEYS[1], g, now, ARGV[1] + ARGV[2]) end
end
return out
