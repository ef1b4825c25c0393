-- Keeps a ticket of an owner, or looks whether it is kept.
--
-- KEYS  1 the owner's tickets, by the time at which they end
-- ARGV  1 the ticket's digest  2 its life, ms; "" only looks  3 most tickets of an owner
-- Returns 1 if the ticket is kept, else 0
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] == '' then
  local ends = call('ZSCORE', KEYS[1], ARGV[1])
  if ends and tonumber(ends) > now then return 1 end
  return 0
end
call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) and not call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
call('PEXPIRE', KEYS[1], ARGV[2])
return 1
