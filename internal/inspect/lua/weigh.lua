-- Weighs the content of a key, where the server tells no figure of its own.
--
-- KEYS  1 any key
-- ARGV  1 how many of its elements are looked at; the others are taken to be like them
-- Returns bytes, about; 0 where there is none
local call, key, most = redis.call, KEYS[1], tonumber(ARGV[1])
local kind = call('TYPE', key).ok
local count, some = 1, {}
if kind == 'none' then return 0 end
if kind == 'string' then return #key + call('STRLEN', key) end
if kind == 'hash' then
  count, some = call('HLEN', key), call('HRANDFIELD', key, most)
elseif kind == 'zset' then
  count, some = call('ZCARD', key), call('ZRANGE', key, 0, most - 1)
elseif kind == 'set' then
  count, some = call('SCARD', key), call('SRANDMEMBER', key, most)
elseif kind == 'stream' then
  count = call('XLEN', key)
  for i, entry in ipairs(call('XRANGE', key, '-', '+', 'COUNT', most)) do
    some[i] = entry[1] .. table.concat(entry[2])
  end
end
local bytes = 0
for _, element in ipairs(some) do
  bytes = bytes + #element + 8
  if kind == 'hash' then bytes = bytes + call('HSTRLEN', key, element) end
end
return #key + math.floor(bytes * count / math.max(#some, 1))
