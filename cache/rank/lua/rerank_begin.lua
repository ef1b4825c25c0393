-- Begins to rebuild a partition's rank: from now on every write and fill also puts its record into the rebuild. A
-- rebuild in progress ends.
--
-- KEYS  1 stats  2 the rebuild
-- ARGV  1 token: the mark of the rank that it makes, ":" and a fresh text  2 life, ms
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'kb', ARGV[1], 'ku', whole(now_ms() + ARGV[2]))
return 1
