-- Changes and reads the list of a user's sessions. It lives as long as its longest-lived session can.
--
-- KEYS  1 the list
-- ARGV  1 "add", "remove" or "read"  2 add: life, ms; remove: the first id  3… ids
-- Returns the remaining ids, without expired ones
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[1] == 'add' then
  call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[3])
elseif ARGV[1] == 'remove' then
  for i = 2, #ARGV do call('ZREM', KEYS[1], ARGV[i]) end
end
call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local last = call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
if last then call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(last))) end
if ARGV[1] == 'add' then return {} end
return call('ZRANGE', KEYS[1], 0, -1)
