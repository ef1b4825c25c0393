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
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local live, new = tonumber(u) or 0, ARGV[1]
if new == '0' then
  if live > now and live - now <= tonumber(ARGV[2]) then return '' end
  new = string.format('%.0f', (tonumber(g) or now) + 1)
elseif g ~= new or live == 0 then
  return ''
end
redis.call('HSET', KEYS[1], 'g', new, 'u', string.format('%.0f', now + ARGV[2]))
return new
