-- Marks records as persisted where the flushed version is still the newest. A record
-- rewritten since stays pending, its time first pending raised to that of the read:
-- everything accepted before the read is in the database now.
--
-- KEYS  1 stats  2 pending  3 held  4 dead  5 why  6 stream  7… the records
-- ARGV  1 event channel  2 entries of the stream  3 time of the read, ms
--       4… for each record id, version, ttl ms
-- Returns the number of records marked. A record that was marked before, was dropped or
-- is at another version counts nothing.
local call = redis.call
local lists = { p = { 'ZREM', KEYS[2] }, h = { 'ZREM', KEYS[3] }, d = { 'ZREM', KEYS[4] } }
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local why, event, persisted = { 'HDEL', KEYS[5] }, { 'persisted', string.format('%.0f', now) }, 0
local later = { 'ZADD', KEYS[2], 'XX', 'GT' }
for i = 7, #KEYS do
  local at = 4 + (i - 7) * 3
  local id, version, ttl = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local m = call('HMGET', KEYS[i], '_v', '_s', '_d')
  local state = m[2]
  if state and m[1] == version then
    call('HDEL', KEYS[i], '_s')
    call('PEXPIRE', KEYS[i], ttl)
    local list = lists[state]
    list[#list + 1] = id
    if state ~= 'p' then why[#why + 1] = id end
    event[#event + 1], event[#event + 2] = id, m[3] and '-' .. version or version
    persisted = persisted + 1
  elseif state == 'p' then
    later[#later + 1], later[#later + 2] = ARGV[3], id
  end
end

-- Lua's unpack ends at a few thousand values.
local function send(list, head, step)
  for i = head + 1, #list, step do
    local part = { unpack(list, 1, head) }
    for j = i, math.min(i + step - 1, #list) do part[#part + 1] = list[j] end
    call(unpack(part))
  end
end
send(lists.p, 2, 1000)
send(lists.h, 2, 1000)
send(lists.d, 2, 1000)
send(why, 2, 1000)
send(later, 4, 1000)
if persisted > 0 then
  call('HINCRBY', KEYS[1], 'p', persisted)
  event[2] = event[2] .. '/' .. call('HINCRBY', KEYS[1], 'q', 1)
  local message = cjson.encode(event)
  call('XADD', KEYS[6], 'MAXLEN', '~', ARGV[2], '*', 'e', message)
  if (tonumber(call('HGET', KEYS[1], 'e')) or 0) > now then call('PUBLISH', ARGV[1], message) end
end
return persisted
