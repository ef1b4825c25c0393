-- Removes the marks of resolved letters.
--
-- KEYS  1 letters
-- ARGV  for each record id, version
-- Returns the number removed. Marks of the record's other letters stay.
though_full('SREM', KEYS[1])
local n = 0
for i = 1, #ARGV, 2 do
  local letter = ARGV[i + 1] .. ':' .. ARGV[i]
  n = n + redis.call('SREM', KEYS[1], letter)
  redis.call('SREM', KEYS[1], 'persisted:' .. letter)
end
return n
