-- Makes a partition's waiting records due immediately, at an operator's request: pending records whatever the flush
-- delay, held records whatever their next attempt. A task that is running, or enqueued for later, is stale from now on.
--
-- KEYS  1 stats  2 pending  3 held
-- ARGV  1 margin of the scheduled flag, ms  2 most held records to move in this step
-- Returns {} if nothing waits, or flushing is paused, else
--         {generation to enqueue a sync task for, pending records, held records moved}
local call = redis.call
local g, paused = unpack(call('HMGET', KEYS[1], 'g', 'z'))
if paused then return {} end
local now = now_ms()
local pending, held = call('ZCARD', KEYS[2]), call('ZCARD', KEYS[3])
if pending + held == 0 then return {} end
though_full('HDEL', KEYS[1])
local later = call('ZRANGEBYSCORE', KEYS[3], '(' .. whole(now), '+inf', 'LIMIT', 0, ARGV[2])
for _, id in ipairs(later) do call('ZADD', KEYS[3], whole(now), id) end
local new = claim(KEYS[1], g, now, ARGV[1])
call('HSET', KEYS[1], 'f', whole(now))
return { new, pending, #later }
