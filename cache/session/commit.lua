-- Writes a session with its TTL, unless the session was revoked.
--
-- KEYS  1 session
-- ARGV  1 data  2 user, "" not known yet  3 life, ms  4 longest idle time, ms; 0 no limit
-- Returns 1, or 0 if the session was revoked
local call = redis.call
if call('HEXISTS', KEYS[1], 'x') == 1 then return 0 end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local at, life = string.format('%.0f', now), tonumber(ARGV[3])
call('HSET', KEYS[1], 'd', ARGV[1], 'u', ARGV[2], 'n', at, 'e', string.format('%.0f', now + life))
call('HSETNX', KEYS[1], 'c', at)
if ARGV[4] ~= '0' then life = math.min(life, tonumber(ARGV[4])) end
call('PEXPIRE', KEYS[1], life)
return 1
