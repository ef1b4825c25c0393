-- Marks that dead letters of records are about to be inserted, if the refused version is still the newest. If a marked
-- record is no longer dead, a step of this Redis has moved it on. About a letter without a mark nothing can be
-- concluded, because Redis may have lost its record.
--
-- KEYS  1 letters  2… the records
-- ARGV  for each record id, version
-- Returns for each record 1, or 0 if a newer write has replaced the version already:
--         then no letter is to be inserted
though_full('SREM', KEYS[1])
local out = {}
for i = 2, #KEYS do
  local at = 2 * (i - 1) - 1
  local m = redis.call('HMGET', KEYS[i], '_v', '_s')
  out[i - 1] = 0
  if m[1] == ARGV[at + 1] and (m[2] == 'p' or m[2] == 'h') then
    redis.call('SADD', KEYS[1], ARGV[at + 1] .. ':' .. ARGV[at])
    redis.call('HSET', KEYS[i], '_r', '1')
    out[i - 1] = 1
  end
end
return out
