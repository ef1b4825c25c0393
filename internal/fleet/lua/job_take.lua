-- Takes a job whose runner's lease has expired.
--
-- KEYS  1 jobs  2 ids of the jobs that have not ended
-- ARGV  1 runner  2 lease, ms  3 what a job must be to be taken: the beginning of it
--       4… ids of jobs that are left to other runners
-- Returns id, what it is, its work, how far it is, who asked it to stop or ""; nothing if there is none
local jobs = KEYS[1]
though_full('HDEL', jobs)
local now = now_ms()
local others = {}
for i = 4, #ARGV do others[ARGV[i]] = true end
for _, id in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  local job = redis.call('HMGET', jobs, id .. '/is', id .. '/work', id .. '/at', id .. '/run', id .. '/stop')
  local till = tonumber((job[4] or '0 '):match('^%d+'))
  if job[1] and job[1]:sub(1, #ARGV[3]) == ARGV[3] and till <= now and not others[id] then
    redis.call('HSET', jobs, id .. '/run', whole(now + ARGV[2]) .. ' ' .. ARGV[1])
    return { id, job[1], job[2] or '', job[3] or '', job[5] or '' }
  end
end
return {}
