-- Adds an event about records, such as one of their dead letters.
--
-- KEYS  1 stats  2 stream
-- ARGV  1 event channel  2 entries of the stream  3 the event's type
--       4… for each record id, version
-- Returns 1
though_full('HDEL', KEYS[1])
local now = now_ms()
local event = { ARGV[3], whole(now) }
for i = 4, #ARGV do event[i - 1] = ARGV[i] end
tell(KEYS[1], KEYS[2], ARGV[1], ARGV[2], now, event)
return 1
