-- Takes records of an older copy of Redis off the lists and out of the cache: their rows stay, and the next read loads
-- them. A record at another version, or in another state than pending or held, is left unchanged.
--
-- KEYS  1 stats  2 pending  3 held  4 dead  5 why  6 unsure ranks  7 letters  8… the records
-- ARGV  1 the field that ranks the records, "" none
--       2 the counter: "p" the database has the records, "d" they are set aside as letters
--       3 event channel  4… for each record id, version
-- Returns the number of records
local call = redis.call
though_full('HDEL', KEYS[1])
local now = now_ms()
local n, event = 0, { 'invalidated', whole(now) }
for i = 8, #KEYS do
  local at = 4 + (i - 8) * 2
  local id = ARGV[at]
  local m = call('HMGET', KEYS[i], '_v', '_s', '_r')
  if m[1] == ARGV[at + 1] and (m[2] == 'p' or m[2] == 'h') then
    call('DEL', KEYS[i])
    call('ZREM', m[2] == 'p' and KEYS[2] or KEYS[3], id)
    call('HDEL', KEYS[5], id)
    if m[3] then call('SADD', KEYS[7], 'lost:' .. id) end -- the fate of its letters is unknown
    if ARGV[1] ~= '' then call('SADD', KEYS[6], id) end
    event[#event + 1], event[#event + 2] = id, '0'
    n = n + 1
  end
end
if n > 0 then
  call('HINCRBY', KEYS[1], ARGV[2], n)
  event[2] = event[2] .. '/' .. call('HINCRBY', KEYS[1], 'q', 1)
  if number(call('HGET', KEYS[1], 'e')) > now then call('PUBLISH', ARGV[3], cjson.encode(event)) end
end
return n
