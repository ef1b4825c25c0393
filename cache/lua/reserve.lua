-- Stores the record id that the first caller of an operation id generated, so that a repeated create finds the record
-- it created. Bounded like the operation ids of writes.
--
-- KEYS  1 ops  2 opsAt
-- ARGV  1 operation id  2 a fresh record id, "" to store none  3 kept at most  4 their age, ms
-- Returns the record id; "" if there is none, or if the maximum of operation ids is already kept
local id = redis.call('HGET', KEYS[1], ARGV[1])
if id or ARGV[2] == '' then return id or '' end
local now = now_ms()
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[4], 'LIMIT', 0, 1000)
if #old > 0 then
  redis.call('HDEL', KEYS[1], unpack(old))
  redis.call('ZREM', KEYS[2], unpack(old))
end
if redis.call('ZCARD', KEYS[2]) - ARGV[3] >= 0 then return '' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
return ARGV[2]
