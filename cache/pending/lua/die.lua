-- Moves refused records whose policy is exhausted to the dead. Their dead letters are in the database already; after a
-- crash between the two steps both are repeated without harm. A record at another version is left unchanged.
--
-- KEYS  1 stats  2 pending  3 held  4 dead  5 why  6 stream  7 letters  8… the records
-- ARGV  1 event channel  2 entries of the stream  3… for each record id, version, why, origin or ""
-- Returns the number of records that died
local call = redis.call
though_full('HDEL', KEYS[1])
local now = now_ms()
local died, event, origins = 0, { 'dead', whole(now) }, {}
for i = 8, #KEYS do
  local at = 3 + (i - 8) * 4
  local id, version, why, origin = unpack(ARGV, at, at + 3)
  local m = call('HMGET', KEYS[i], '_v', '_s')
  if m[1] == version and (m[2] == 'p' or m[2] == 'h') then
    call('HSET', KEYS[5], id, why)
    call('SADD', KEYS[7], version .. ':' .. id)
    call('ZADD', KEYS[4], now, id)
    call('HSET', KEYS[i], '_s', 'd', '_r', '1')
    call('ZREM', m[2] == 'p' and KEYS[2] or KEYS[3], id)
    if origin ~= '' then origins[#origins + 1] = died .. ' ' .. origin end
    died = died + 1
    event[#event + 1], event[#event + 2] = id, version
  end
end
if died > 0 then
  if #origins > 0 then event[#event + 1] = table.concat(origins, ';') end
  tell(KEYS[1], KEYS[6], ARGV[1], ARGV[2], now, event)
end
return died
