-- Moves refused records from pending to held, or sets the next attempt of records that are already held. A record at
-- another version than the refused one is left unchanged: the refusal is about a state that will never be flushed
-- again.
--
-- KEYS  1 stats  2 pending  3 held  4 why  5 stream  6… the records
-- ARGV  1 event channel  2 entries of the stream
--       3… for each record id, version, next attempt ms, why, origin or ""
-- Returns the number of records held
local call = redis.call
though_full('HDEL', KEYS[1])
local now = now_ms()
local held, event, origins = 0, { 'held', whole(now) }, {}
for i = 6, #KEYS do
  local at = 3 + (i - 6) * 5
  local id, version, due, why, origin = unpack(ARGV, at, at + 4)
  local m = call('HMGET', KEYS[i], '_v', '_s')
  if m[1] == version and (m[2] == 'p' or m[2] == 'h') then
    call('HSET', KEYS[4], id, why)
    call('ZADD', KEYS[3], due, id)
    if m[2] == 'p' then
      call('HSET', KEYS[i], '_s', 'h')
      call('ZREM', KEYS[2], id)
    end
    if origin ~= '' then origins[#origins + 1] = held .. ' ' .. origin end
    held = held + 1
    event[#event + 1], event[#event + 2] = id, version
  end
end
if held > 0 then
  if #origins > 0 then event[#event + 1] = table.concat(origins, ';') end
  tell(KEYS[1], KEYS[5], ARGV[1], ARGV[2], now, event)
end
return held
