-- Adds a job that has a runner.
--
-- KEYS  1 jobs  2 ids of the jobs that have not ended
-- ARGV  1 id  2 what it is  3 its work, which is dropped at its end  4 how far it is  5 runner  6 lease, ms
--       7 jobs at once, at most
-- Returns 1; 0 if so many have not ended
though_full('HDEL', KEYS[1])
local jobs, id = KEYS[1], ARGV[1]
if redis.call('SISMEMBER', KEYS[2], id) == 1 then return 1 end -- called again, its reply was lost
if redis.call('SCARD', KEYS[2]) >= tonumber(ARGV[7]) then return 0 end
redis.call('HSET', jobs, id .. '/is', ARGV[2], id .. '/work', ARGV[3], id .. '/at', ARGV[4],
  id .. '/run', whole(now_ms() + ARGV[6]) .. ' ' .. ARGV[5])
redis.call('SADD', KEYS[2], id)
return 1
