-- Takes or renews a leader's lease.
--
-- KEYS  1 lease
-- ARGV  1 holder  2 life, ms ("0" releases the lease)
-- Returns 1 if the holder leads, else 0
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
