-- Prepares a write that goes to the database first: drops the persisted copy of a record and bars fills until the write
-- is over, or for a time longer than its transaction. Call it while the partition's fence is locked.
--
-- KEYS  1 stats  2 record  3 unsure ranks
-- ARGV  1 fresh token of the barrier  2 its life, ms  3 if-match, "" any or a version
--       4 id, "" records are not ranked  5 the turn before
--       6 turn of the transaction, "" none
-- Returns the version that the write will have, "behind" if the record is pending, held
-- or dead and must be written behind, "mismatch" if it is not at the version
local m = redis.call('HMGET', KEYS[2], '_v', '_s', '_d')
if m[2] then return 'behind' end
if ARGV[3] ~= '' and (m[1] ~= ARGV[3] or m[3]) then return 'mismatch' end
local version = next_version(redis.call('HGET', KEYS[1], 'v'), now_us())
redis.call('HSET', KEYS[1], 'v', version)
-- A Redis that is older than the transaction before does not hinder this write, which has read its row; it does not
-- note the turn, so that no flush writes anything until the partition is repaired.
if ARGV[6] ~= '' then turned(KEYS[1], ARGV[5], ARGV[6]) end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], '_b', ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
if ARGV[4] ~= '' then redis.call('SADD', KEYS[3], ARGV[4]) end
return version
