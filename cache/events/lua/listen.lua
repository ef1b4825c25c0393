-- Records that a process listens to a partition's events until a time from now.
--
-- KEYS  1 stats
-- ARGV  1 time, ms
-- Returns the number of the partition's last event: every later one is published
lasts(KEYS[1], 'e', ARGV[1])
return number(redis.call('HGET', KEYS[1], 'q'))
