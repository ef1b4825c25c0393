-- Reads what became of the versions of records that have dead letters.
--
-- KEYS  1 dead  2 letters  3… the records
-- ARGV  for each record id, version
-- Returns for each {fate, current version of the record or "0"}:
--         persisted   was persisted at the letter's version, whatever came later
--         waits       pending, held or dead at the letter's version
--         superseded  pending, held or dead at a newer version
--         gone        was not persisted: a newer version replaced it, and is persisted
--         lost        the letter has no mark in Redis, or its record is missing
local call = redis.call
local out = {}
for i = 3, #KEYS do
  local at = 2 * (i - 2) - 1
  local id, version, letter = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 1] .. ':' .. ARGV[at]
  local m = call('HMGET', KEYS[i], '_v', '_s')
  local now = tonumber(m[1]) or 0
  local known = call('SISMEMBER', KEYS[2], letter) == 1
      and call('SISMEMBER', KEYS[2], 'lost:' .. id) == 0
  local fate = 'lost'
  if call('SISMEMBER', KEYS[2], 'persisted:' .. letter) == 1 then
    fate = 'persisted'
  elseif m[2] and now >= version then
    fate = now == version and 'waits' or 'superseded'
  elseif known and not m[2] and (now >= version or now == 0) and not call('ZSCORE', KEYS[1], id) then
    fate = 'gone'
  end
  out[i - 2] = { fate, m[1] or '0' }
end
return out
