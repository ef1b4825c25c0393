-- Pauses or resumes the flushing of a partition. A task in progress ends after its batch; records written meanwhile
-- stay pending. After a resume the sweeper enqueues a task for what is due.
--
-- KEYS  1 stats
-- ARGV  1 "1" pause, "" resume
-- Returns 1 if that changed anything, else 0
though_full('HDEL', KEYS[1])
local paused = redis.call('HEXISTS', KEYS[1], 'z') == 1
if ARGV[1] == '1' then
  redis.call('HSET', KEYS[1], 'z', '1', 'u', '0')
  return paused and 0 or 1
end
redis.call('HDEL', KEYS[1], 'z')
return paused and 1 or 0
