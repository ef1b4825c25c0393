-- Records that a process listens to a partition's events until a time from now.
--
-- KEYS  1 stats
-- ARGV  1 time, ms
lasts(KEYS[1], 'e', ARGV[1])
return 1
