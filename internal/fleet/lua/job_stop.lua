-- Asks a job to stop. Its runner does so after its step; the first who asked is kept.
--
-- KEYS  1 jobs  2 ids of the jobs that have not ended
-- ARGV  1 id  2 who asks
-- Returns 1; 0 if the job has ended or is not known
though_full('HDEL', KEYS[1])
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('HSETNX', KEYS[1], ARGV[1] .. '/stop', ARGV[2])
return 1
