-- Says that a process lives, by the clock of Redis: those of processes may differ.
--
-- KEYS  1 processes
-- ARGV  1 kind and id  2 what it tells of itself, JSON  3 how long it is believed to live, ms
-- Returns 1
redis.call('HSET', KEYS[1], ARGV[1], whole(now_ms() + ARGV[3]) .. ' ' .. ARGV[2])
return 1
