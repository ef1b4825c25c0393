-- Schedules the sync task of a partition that has due work and no live flag, whatever lost the task: a crash, a failed
-- enqueue, an archived task or a dead worker. A flag that would live longer than any flag can was set before the clock
-- was set back, and counts as free.
--
-- It also removes operation ids beyond their age, which makes room in a Redis that is full of them.
--
-- KEYS  1 stats  2 pending  3 held  4 ops, beside which are opsAt and opsOf
-- ARGV  1 margin of the flag, ms  2 flush delay, ms  3 longest life of a flag from now, ms
--       4 age of operation ids, ms
-- Returns {} nothing to enqueue, else {generation, wait ms}
local g, u, paused, asked = unpack(redis.call('HMGET', KEYS[1], 'g', 'u', 'z', 'f'))
local now = now_ms()
forget_ops(KEYS[4], now - ARGV[4], 2000)
if paused then return {} end
local live = number(u) - now
if live > 0 and live <= tonumber(ARGV[3]) then return {} end
local head = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local held = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2]
local last = head and redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]
local wait = head and math.max(0, head + ARGV[2] - now)
if last and last - now > 0 then wait = 0 end -- as in due.lua
if head and asked and head - asked <= 0 then wait = 0 end
if held and held - now <= 0 then wait = 0 end
if not wait then return {} end
return { claim(KEYS[1], g, now, wait + ARGV[1]), whole(wait) }
