-- Reads one record and the lists that contain it, at one moment. It is a script because a full Redis refuses every
-- command within MULTI, even a read.
--
-- KEYS  1 record  2 pending  3 held  4 dead  5 why
-- ARGV  1 id  2… the fields to read
-- Returns {ttl ms, time pending, held, dead (nil: not listed), its refusal or nil, {values…}}
local call = redis.call
return {
  call('PTTL', KEYS[1]), call('ZSCORE', KEYS[2], ARGV[1]), call('ZSCORE', KEYS[3], ARGV[1]), call('ZSCORE', KEYS[4], ARGV[1]),
  call('HGET', KEYS[5], ARGV[1]), call('HMGET', KEYS[1], unpack(ARGV, 2)),
}
