-- Begins or renews the work of a sync task: extends the scheduled flag if the task's
-- generation is the live one. Generation 0 is a wake-up for held records: it takes the
-- flag if it is free, or if its order is for later, as with a flush delay: who works has
-- a flag of no more life than the task would have. No task may work on a partition that
-- is paused.
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
