-- Reads a session and extends its idle time.
--
-- KEYS  1 session
-- ARGV  1 longest idle time, ms; 0 no limit. "" only reads
-- Returns {} if there is none, else {data, user, created ms, last used ms, ms left}
local call = redis.call
local s = call('HMGET', KEYS[1], 'd', 'u', 'c', 'n', 'e')
if not s[1] then return {} end
if ARGV[1] ~= '' then
  local time = call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  call('HSET', KEYS[1], 'n', string.format('%.0f', now))
  if ARGV[1] ~= '0' then
    call('PEXPIRE', KEYS[1], math.max(1, math.min(tonumber(ARGV[1]), s[5] - now)))
  end
end
return { s[1], s[2], s[3], s[4], call('PTTL', KEYS[1]) }
