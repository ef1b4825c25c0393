-- Adds an event about records, such as one of their dead letters.
--
-- KEYS  1 stats  2 stream
-- ARGV  1 event channel  2 entries of the stream  3 the event's type
--       4… for each record id, version
-- Returns 1
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local event = { ARGV[3], string.format('%.0f', now) .. '/' .. call('HINCRBY', KEYS[1], 'q', 1) }
for i = 4, #ARGV do event[i - 1] = ARGV[i] end
local message = cjson.encode(event)
call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 'e', message)
if (tonumber(call('HGET', KEYS[1], 'e')) or 0) > now then call('PUBLISH', ARGV[1], message) end
return 1
