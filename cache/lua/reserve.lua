-- Stores the record id that the first caller of an operation id generated, so that a repeated create finds the record
-- it created. Bounded like the operation ids of writes.
--
-- KEYS  1 ops, beside which are opsAt and opsOf
-- ARGV  1 operation id  2 a fresh record id, "" to store none  3 kept at most  4 their age, ms
--       5 owner, "" none: it gets half of the room
-- Returns the record id; "" if there is none, or if there is no room
local call, ops, key, owner = redis.call, KEYS[1], ARGV[1], ARGV[5]
local id = call('HGET', ops, key)
if id or ARGV[2] == '' then return id or '' end
local now = now_ms()
forget_ops(ops, now - ARGV[4], 1000)
if call('ZCARD', ops .. 'At') - ARGV[3] >= 0 then return '' end
if owner ~= '' and number(call('HGET', ops .. 'Of', owner)) >= math.max(1, ARGV[3] / 2) then return '' end
call('HSET', ops, key, ARGV[2])
if owner ~= '' then
  key = key .. '\1' .. owner
  call('HINCRBY', ops .. 'Of', owner, 1)
end
call('ZADD', ops .. 'At', now, key)
return ARGV[2]
