-- Lists those of some records that are pending or held, as the script due lists what is due; none if the partition is
-- paused. With a field for a token it is called while the partition's fence is locked: see due.lua and turn.lua.
--
-- KEYS  1 pending  2 held  3 why  4 stats
-- ARGV  1 a field of the stats, "" none  2 token of the read, which it gets  3 round trips that will read records
--       4… ids
-- Returns what due.lua does: time, "", pending, held, why, "", time of the last that is pending, the last version
local call = redis.call
local now = now_ms()
local pending, held, why, last = {}, {}, {}, 0
if call('HEXISTS', KEYS[4], 'z') == 0 then
  for i = 4, #ARGV do
    local id = ARGV[i]
    local since = call('ZSCORE', KEYS[1], id)
    local due = call('ZSCORE', KEYS[2], id)
    if since then
      pending[#pending + 1], pending[#pending + 2] = id, since
      last = math.max(last, since)
    elseif due then
      held[#held + 1], held[#held + 2] = id, due
      why[#why + 1] = call('HGET', KEYS[3], id) or ''
    end
  end
end
if ARGV[1] ~= '' then
  though_full('HDEL', KEYS[4])
  call('HSET', KEYS[4], ARGV[1], ARGV[2])
  for i = 1, tonumber(ARGV[3]) do call('HSET', KEYS[4], ARGV[1] .. i, '1') end
end
return { whole(now), '', pending, held, why, '', whole(last), call('HGET', KEYS[4], 'v') or '0' }
