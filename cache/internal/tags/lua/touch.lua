-- Invalidates tags: gives them a stamp that is newer than all before. The number of tags
-- is bounded. A forgotten tag of a record leaves its stamp to the tag of any record of its
-- entity, another one to the floor: values with older stamps are then invalid, too.
--
-- KEYS  1 tags: ZSET tag → stamp; "n" the newest, "f" the floor, "b" when it was made
-- ARGV  1 tags kept at most  2 event channel  3 sender  4 number of the message  5… tags
-- Returns the stamp
local call, now = redis.call, now_us()
though_full('ZREM', KEYS[1])
local n = tonumber(call('ZSCORE', KEYS[1], 'n') or nil)
if not n then
  local born = whole(now)
  call('ZADD', KEYS[1], born, 'f', born, 'b')
end
local stamp = next_version(n, now)
call('ZADD', KEYS[1], stamp, 'n')
local message = { 'tags', ARGV[3], ARGV[4], stamp }
for i = 5, #ARGV do
  call('ZADD', KEYS[1], stamp, ARGV[i])
  message[i] = ARGV[i]
end
local over = call('ZCARD', KEYS[1]) - ARGV[1]
if over > 0 then
  local old = call('ZRANGE', KEYS[1], 0, math.min(over, 1000) + 1, 'WITHSCORES')
  for i = 1, #old, 2 do
    local tag = old[i]
    local kind = tag:sub(1, 2)
    if kind == 'r:' then
      call('ZADD', KEYS[1], 'GT', old[i + 1], 'a:' .. tag:match('^r:([^:]*)'))
    elseif kind == 't:' then
      call('ZADD', KEYS[1], 'GT', old[i + 1], 'f')
    end
    if kind == 'r:' or kind == 't:' then call('ZREM', KEYS[1], tag) end
  end
end
call('PUBLISH', ARGV[2], cjson.encode(message))
return stamp
