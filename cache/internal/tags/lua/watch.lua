-- Says that values depend on a partition's records until a time from now: its changes must
-- invalidate tags.
--
-- KEYS  1 stats
-- ARGV  1 "w" the tag of the entity, "x" those of its records  2 time, ms
lasts(KEYS[1], ARGV[1], ARGV[2])
return 1
