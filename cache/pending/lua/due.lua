-- Lists what is due to be flushed: first pending records that have waited the flush delay, or have been pending since
-- before an operator's flush request, oldest first; then held records whose next attempt is due. If there are too many
-- of both, held records get a share, so that a hot partition does not keep them waiting. A record that is pending since
-- a time in the future is due, too: the clock was set back, and the record would wait for as long. The records
-- themselves are read afterwards, each at one moment: every write accepted before this script's time is in them. Call
-- it only while the partition's fence is locked.
--
-- KEYS  1 pending  2 held  3 why  4 stats
-- ARGV  1 most records  2 flush delay, ms  3 share of held records  4 a field of the stats
--       5 token of the read, which it gets; fields named by it and 1, 2, … are set, too, one for
--         each round trip that reads records, and removed by that: see turn.lua
--       6 records of such a trip
-- Returns 1 Redis time, ms
--         2 "1" if more is due than is listed, else ""
--         3 pending: id, time first pending in ms, …
--         4 held: id, time of the attempt in ms, …
--         5 why, of each held record
--         6 every pending record whose time is before this one is listed; "" if records are
--           held, whose neighbours may have been persisted
--         7 no pending record whose time is after this one is listed
--         8 the last version
local call = redis.call
local now = now_ms()
local limit = tonumber(ARGV[1])

local function due(key, before, most)
  return call('ZRANGEBYSCORE', key, '-inf', before, 'WITHSCORES', 'LIMIT', 0, most)
end
local held = due(KEYS[2], now, limit)
local h = #held / 2
local asked, version = unpack(call('HMGET', KEYS[4], 'f', 'v'))
asked = number(asked)
local till = math.max(now - ARGV[2], asked)
local pending = due(KEYS[1], till, limit)
local p = #pending / 2
local ripe = p
if p < limit then
  local from = '(' .. whole(math.max(now, asked))
  local ahead = call('ZRANGEBYSCORE', KEYS[1], from, '+inf', 'WITHSCORES', 'LIMIT', 0, limit - p)
  for i = 1, #ahead do pending[2 * p + i] = ahead[i] end
  p = p + #ahead / 2
end
local nh = math.min(h, math.max(limit - p, tonumber(ARGV[3])))
local np = math.min(p, limit - nh)
local more = (p == limit or nh < h or np < p) and '1' or ''
for i = #pending, 2 * np + 1, -1 do pending[i] = nil end
for i = #held, 2 * nh + 1, -1 do held[i] = nil end
local why = {}
for i = 1, nh do why[i] = call('HGET', KEYS[3], held[2 * i - 1]) or '' end

local last = pending[2 * np] or '0'
local before = last -- others may have the time of the last, or get that of this script
if ripe < limit and ripe <= np then
  before = whole(till)
  if till - last > 0 then last = before end
end
if call('EXISTS', KEYS[2]) == 1 then before = '' end
though_full('HDEL', KEYS[4])
call('HSET', KEYS[4], ARGV[4], ARGV[5])
local trip = tonumber(ARGV[6])
for i = 1, math.ceil(np / trip) + math.ceil(nh / trip) do call('HSET', KEYS[4], ARGV[4] .. i, '1') end
return { whole(now), more, pending, held, why, before, last, version or '0' }
