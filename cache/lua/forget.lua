-- Forgets letters that are resolved.
--
-- KEYS  1 letters
-- ARGV  for each record id, version
-- Returns the number forgotten. A later letter of the record is still remembered.
local n = 0
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    n = n + redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
return n
