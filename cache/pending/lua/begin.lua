-- Begins or renews the work of a sync task: extends the scheduled flag if the task's generation is the live one.
-- Generation 0 is a wake-up for held records. It takes the flag if the flag is free, or if it was set for a later task,
-- as with a flush delay: the flag of a working task never lives longer than ARGV 2. No task may work on a paused
-- partition.
--
-- KEYS  1 stats
-- ARGV  1 generation  2 life of the flag from now, ms
-- Returns the live generation if the task may work, else ""
local g, u, paused = unpack(redis.call('HMGET', KEYS[1], 'g', 'u', 'z'))
if paused then return '' end
local now = now_ms()
local live = number(u)
if ARGV[1] == '0' then
  if live > now and live - now <= tonumber(ARGV[2]) then return '' end
  return claim(KEYS[1], g, now, ARGV[2])
end
if g ~= ARGV[1] or live == 0 then return '' end
redis.call('HSET', KEYS[1], 'u', whole(now + ARGV[2]))
return g
