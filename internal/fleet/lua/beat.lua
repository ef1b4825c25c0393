-- Records that a process is alive, by Redis's clock, because the clocks of processes differ.
--
-- KEYS  1 processes
-- ARGV  1 kind and id  2 what the process reports of itself, JSON  3 how long it counts as alive, ms
-- Returns 1
though_full('HDEL', KEYS[1])
redis.call('HSET', KEYS[1], ARGV[1], whole(now_ms() + ARGV[3]) .. ' ' .. ARGV[2])
return 1
