-- Returns a record, or on a miss grants the right to fill it to one loader.
--
-- KEYS  1 record
-- ARGV  1 fresh lease token; "": the caller will not fill  2 lease, ms
--       3… the fields of the entity
-- Returns {"record", ttl ms, version, state, deleted, values…}
--         {"granted"}  load the row, then fill with the token
--         {"refused"}  another load holds the lease, or the caller asked for none
--         {"barred"}   a write is on its way to the database: load, and do not fill
local m = redis.call('HMGET', KEYS[1], '_l', '_b', '_v', '_s', '_d', unpack(ARGV, 3))
if m[3] then
  m[1], m[2] = 'record', redis.call('PTTL', KEYS[1])
  return m
end
if m[2] then return { 'barred' } end
if m[1] == ARGV[1] then return { 'granted' } end
if m[1] or ARGV[1] == '' then return { 'refused' } end
redis.call('HSET', KEYS[1], '_l', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { 'granted' }
