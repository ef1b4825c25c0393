-- Reads records of one partition and the lists that contain them, at one moment.
--
-- KEYS  1 pending  2 held  3 dead  4… the records
-- ARGV  1 number of fields  2… the fields of the entity, then the ids
-- Returns for each record {} if it is not cached, else
--         {ttl ms, time pending, held, dead ("" not listed), version, state, deleted, values…}
local n = tonumber(ARGV[1])
local out = {}
for i = 4, #KEYS do
  local id = ARGV[1 + n + i - 3]
  local m = redis.call('HMGET', KEYS[i], '_v', '_s', '_d', unpack(ARGV, 2, 1 + n))
  local record = {}
  if m[1] then
    record[1] = redis.call('PTTL', KEYS[i])
    for j = 1, 3 do record[1 + j] = redis.call('ZSCORE', KEYS[j], id) or '' end
    for j = 1, 3 + n do record[4 + j] = m[j] or '' end
  end
  out[i - 3] = record
end
return out
