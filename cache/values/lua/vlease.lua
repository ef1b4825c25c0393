-- Grants the right to fill a value to one loader, or answers what was filled meanwhile.
--
-- KEYS  1 value  2 lease
-- ARGV  1 fresh lease token  2 lease, ms  3 id of the value that the caller found and
--         cannot use, "" where it found none
-- Returns {"value", text, ttl ms}  another value than that is there
--         {"granted"}              load, then fill with the token
--         {"refused"}              another load holds the lease
local id = redis.call('GETRANGE', KEYS[1], 2, 9)
if id ~= '' and id ~= ARGV[3] then
  return { 'value', redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1]) }
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return { 'granted' } end
return { 'refused' }
