-- Lists what is due to be flushed: first pending records that have waited the flush delay, or have been pending since
-- before an operator's flush request, oldest first; then held records whose next attempt is due. If there are too many
-- of both, held records get a share, so that a hot partition does not keep them waiting. A record that is pending since
-- a time in the future is due, too: the clock was set back, and the record would wait for as long. The records
-- themselves are read afterwards, each at one moment: every write accepted before this script's time is in them. Call
-- it only while the partition's fence is locked.
--
-- KEYS  1 pending  2 held  3 why  4 stats
-- ARGV  1 most records  2 flush delay, ms  3 share of held records
-- Returns 1 Redis time, ms
--         2 "1" if more is due than is listed, else ""
--         3 pending: id, time first pending in ms, …
--         4 held: id, time of the attempt in ms, …
--         5 why, of each held record
local call = redis.call
local now = now_ms()
local limit = tonumber(ARGV[1])

local function due(key, before, most)
  return call('ZRANGEBYSCORE', key, '-inf', before, 'WITHSCORES', 'LIMIT', 0, most)
end
local held = due(KEYS[2], now, limit)
local h = #held / 2
local asked = number(call('HGET', KEYS[4], 'f'))
local pending = due(KEYS[1], math.max(now - ARGV[2], asked), limit)
local p = #pending / 2
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
return { whole(now), more, pending, held, why }
