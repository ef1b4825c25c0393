-- Stores how far a job is, and extends or ends its runner's lease, or ends the job.
--
-- KEYS  1 jobs  2 ids of the jobs that have not ended  3 ids of those that have, by the time of their end, ms
-- ARGV  1 id  2 runner  3 how far it is  4 lease from now, ms; "0" leaves the job to others; "end" ends the job
--       5 ended jobs that are kept
-- Returns who asked the job to stop, "" without a request; 0 if the job is not this runner's
though_full('HDEL', KEYS[1])
local jobs, id = KEYS[1], ARGV[1]
local run = redis.call('HGET', jobs, id .. '/run')
if not run or run:match(' (.*)$') ~= ARGV[2] then return 0 end
redis.call('HSET', jobs, id .. '/at', ARGV[3])
local stop = redis.call('HGET', jobs, id .. '/stop') or ''
if ARGV[4] ~= 'end' then
  redis.call('HSET', jobs, id .. '/run', whole(now_ms() + ARGV[4]) .. ' ' .. ARGV[2])
  return stop
end
redis.call('HDEL', jobs, id .. '/run', id .. '/work')
redis.call('SREM', KEYS[2], id)
redis.call('ZADD', KEYS[3], whole(now_ms()), id)
for _, old in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1 - ARGV[5])) do
  redis.call('HDEL', jobs, old .. '/is', old .. '/at', old .. '/stop')
  redis.call('ZREM', KEYS[3], old)
end
return stop
