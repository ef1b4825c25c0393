-- Ends the work of a sync task, in one step with the check for remaining work: a later write finds the flag free and
-- enqueues its own task.
--
-- KEYS  1 stats  2 pending  3 held
-- ARGV  1 generation  2 margin of the flag, ms  3 flush delay, ms
--       4 "1": a successor gets the remaining work, "": the task should continue
-- Returns {"stale"}               another generation is live, or the flag was cleared
--         {"more"}                something is due now; the flag stays the task's own
--         {"next", g, wait ms}    a successor of generation g is to be enqueued
--         {"done", wait ms, time} the flag is free; a wake-up for the first held record is due
--                                 in that time, at that time in ms; "" if none is held
local call = redis.call
local g, u, asked = unpack(call('HMGET', KEYS[1], 'g', 'u', 'f'))
if g ~= ARGV[1] or number(u) == 0 then return { 'stale' } end
local now = now_ms()
local head = call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local held = call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2]
local last = head and call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]
local wait = head and head + ARGV[3] - now
if last and last - now > 0 then wait = 0 end -- the clock was set back: see due.lua
if head and asked and head - asked <= 0 then wait = 0 end
if wait and held and held - now < wait then wait = held - now end
if held and held - now <= 0 then wait = 0 end
if not wait then
  call('HSET', KEYS[1], 'u', '0')
  if not held then return { 'done', '', '' } end
  return { 'done', whole(held - now), whole(held) }
end
if wait <= 0 then
  if ARGV[4] == '' then return { 'more' } end
  wait = 0
end
return { 'next', claim(KEYS[1], g, now, wait + ARGV[2]), whole(wait) }
