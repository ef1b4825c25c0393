-- Ends a write that went to the database first: counts it if it was committed and, if its barrier still stands, puts
-- the new state into the cache or leaves nothing there. If a later write has its own barrier, that write decides what
-- is cached: states enter the cache in the order of their commits. If no barrier stands (it was evicted, or COMMIT took
-- longer than its life), the record may have been filled with the row from before the commit, or be about to: the
-- record is dropped together with any lease. Nothing is kept, either, if another program changed
-- the row meanwhile (_x).
--
-- KEYS  1 stats  2 record  3 stream  4 rank  5 its rebuild  6 unsure ranks
-- ARGV  1 token of the barrier  2 version, "" nothing was committed  3 event channel
--       4 entries of the stream  5 id  6 "" cache nothing, "d" nor
--       the absence that it is now, "0" that absence, "1" the record
--       7 ttl, ms  8 score, "null" none, "" records are not ranked  9 member  10… field, value
-- Returns 1 if the barrier still stood, else 0
local call = redis.call
though_full('HDEL', KEYS[1])
local barrier, changed = unpack(call('HMGET', KEYS[2], '_b', '_x'))
local stood = barrier == ARGV[1]
local version = ARGV[2]
if stood then
  call('DEL', KEYS[2])
  if version ~= '' and not changed and (ARGV[6] == '0' or ARGV[6] == '1') then
    if ARGV[6] == '1' then
      call('HSET', KEYS[2], '_v', version, unpack(ARGV, 10))
    else
      call('HSET', KEYS[2], '_v', version, '_d', '1')
    end
    call('PEXPIRE', KEYS[2], ARGV[7])
  end
elseif version ~= '' then
  local pending, other = unpack(call('HMGET', KEYS[2], '_s', '_b'))
  if not pending and not other then call('DEL', KEYS[2]) end
end
-- If another barrier stands, nothing was committed, or the row was changed meanwhile, the rank stays unsure.
local now = now_ms()
if stood and version ~= '' and not changed and ARGV[8] ~= '' then
  seat(KEYS[1], KEYS[4], KEYS[5], KEYS[6], now, ARGV[5], ARGV[9], ARGV[8])
end
if version ~= '' then
  call('HINCRBY', KEYS[1], 'a', 1)
  call('HINCRBY', KEYS[1], 'p', 1)
  local shown = (ARGV[6] == '0' or ARGV[6] == 'd') and '-' .. version or version
  local written = { 'written', whole(now) .. '/' .. call('HINCRBY', KEYS[1], 'q', 1), ARGV[5], shown }
  if number(call('HGET', KEYS[1], 'e')) > now then call('PUBLISH', ARGV[3], cjson.encode(written)) end
  tell(KEYS[1], KEYS[3], ARGV[3], ARGV[4], now, { 'persisted', whole(now), ARGV[5], shown })
end
return stood and 1 or 0
