-- Reads a batch of what the database should see now: pending records that have waited
-- the flush delay, oldest first, then held records whose next attempt is due. Where there
-- are too many of both, a share is the held ones', so that a hot partition does not keep
-- them waiting.
-- Call it only while the partition's fence is locked.
--
-- KEYS  1 pending  2 held  3 why
-- ARGV  1 key of a record without its id  2 most records  3 most bytes of values
--       4 flush delay, ms  5 share of held records  6… the fields of the entity
-- Returns 1 Redis time, ms
--         2 ids that are listed but have no record
--         3 "1" if more is due than was read, else ""
--         4… {id, time first pending ms or "" if held, why (held), version, deleted,
--             values…}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local limit, bytes = tonumber(ARGV[2]), tonumber(ARGV[3])
local missing, out, more = {}, { '', {}, '' }, ''
local fields = { '_v', '_d', unpack(ARGV, 6) }
local n = #fields

local function read(list, count, held, room)
  for i = 1, 2 * count, 2 do
    local id = list[i]
    local m = redis.call('HMGET', ARGV[1] .. id, unpack(fields))
    if not m[1] then
      missing[#missing + 1] = id
    else
      local record = { id, held and '' or list[i + 1], '', m[1], m[2] or '' }
      if held then record[3] = redis.call('HGET', KEYS[3], id) or '' end
      for j = 3, n do
        local value = m[j] or ''
        record[j + 3] = value
        room = room - #value
      end
      out[#out + 1] = record
      if room <= 0 then
        more = '1'
        return
      end
    end
  end
end

local function due(key, before)
  return redis.call('ZRANGEBYSCORE', key, '-inf', before, 'WITHSCORES', 'LIMIT', 0, limit)
end
local pending, held = due(KEYS[1], now - ARGV[4]), due(KEYS[2], now)
local p, h = #pending / 2, #held / 2
local nh = math.min(h, math.max(limit - p, tonumber(ARGV[5])))
local np = math.min(p, limit - nh)
if p == limit or nh < h or np < p then more = '1' end
read(pending, np, false, bytes)
read(held, nh, true, nh < h and bytes / 10 or bytes)
out[1], out[2], out[3] = string.format('%.0f', now), missing, more
return out
