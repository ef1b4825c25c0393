-- Marks records as persisted if the flushed version is still the newest. A record rewritten since stays pending; its
-- time first pending is raised to the time of the read, because everything accepted before the read is in the database
-- now. Its changed fields are reduced to those that were changed after the flushed version.
--
-- KEYS  1 stats  2 pending  3 held  4 dead  5 why  6 stream  7 letters  8… the records
-- ARGV  1 event channel  2 entries of the stream  3 time of the read, ms
--       4 bytes of a record's key before its id
--       5 turn of the flush, "" none; if it is not noted, nothing is marked
--       6 "1" rows follow, else ""
--       7 "1" a record may have changed fields (_c), else ""
--       8 "1" what depends on the records was invalidated since the commit, else ""
--       9… for each record version, after a "-" if that is a deletion, and ttl ms
--       then, if rows follow, the number of their texts, and for each record a number of texts and that many: fields
--         and the values that the row has in them, which the record takes, at a new version; -1: the row is not
--         known, or has another score: the record leaves the cache
--       then for each record with an origin its number, from 1, and its fields _t and _q
-- Returns the number of records marked. A record that was marked before, was dropped or is at another version is not
-- counted. If the version has a dead letter, the mark says that the version was persisted, not replaced: nothing else
-- shows that once the record has expired or was written again.
-- Where values depend on the records and were not invalidated, it marks nothing, and returns what depends on them (see
-- dependents in the prelude): if a process dies between the two steps, the next flush repeats both.
local call = redis.call
local now = now_ms()
local t, y, w, x, doubts = unpack(call('HMGET', KEYS[1], 't', 'y', 'w', 'x', '_x'))
local depend = dependents(w, x, now)
if ARGV[8] == '' and depend ~= '' then return depend end
local committed = ARGV[5] ~= '' and y == ARGV[5]
if ARGV[5] ~= '' and not committed and t ~= ARGV[5] then return 0 end
though_full('HDEL', KEYS[1])
local event, marked, later = { 'persisted', whole(now) }, {}, {}
local prefix, rows, n, at = ARGV[4] + 1, ARGV[6] ~= '', 0, 9
local partly = ARGV[7] ~= '' -- mostly all were put, and no listpack is searched for a second field
local last -- the newest version, if records took one here
local letters = call('EXISTS', KEYS[7]) == 1 -- mostly there are none, and no record is asked for its mark
local origins, from -- mostly there are none either
local row = at + 2 * (#KEYS - 7) -- the next text of rows
local rest = row
if rows then row, rest = row + 1, row + 1 + ARGV[row] end
for i = rest, #ARGV, 3 do
  origins, from = origins or {}, from or {}
  origins[tonumber(ARGV[i])] = { ARGV[i + 1], ARGV[i + 2] }
end

-- Its place in the rank may be that of its former row. After so many the rank is rebuilt.
local ranked = (doubts or rows) and call('HEXISTS', KEYS[1], 'k') + call('HEXISTS', KEYS[1], 'kb') > 0
local function doubt(id)
  local unsure = KEYS[1]:sub(1, -6) .. 'rankUnsure' -- "stats" ends the key
  call('SADD', unsure, id)
  if call('SCARD', unsure) > 1000 then
    call('DEL', unsure)
    call('HDEL', KEYS[1], 'k', 'kb', 'ku')
  end
end

-- since reduces a record's field _c (see doc.go) to what was changed after a version.
local function since(key, changed, version)
  local kept = {}
  for at, names in changed:gmatch('(%d+) ([^;]*)') do
    if tonumber(at) > version then kept[#kept + 1] = at .. ' ' .. names end
  end
  local left = table.concat(kept, ';')
  if left == '' then
    call('HDEL', key, '_c')
  elseif left ~= changed then
    call('HSET', key, '_c', left)
  end
end

for i = 8, #KEYS do
  local key, shown = KEYS[i], ARGV[at]
  local version = shown
  if version:byte() == 45 then version = version:sub(2) end -- "-"
  local origin = origins and origins[i - 7]
  local texts = 0
  if rows then
    texts = tonumber(ARGV[row])
    row = row + 1
  end
  if call('HGET', key, '_v') ~= version then
    local state, changed = unpack(call('HMGET', key, '_s', '_c'))
    if state == 'p' then later[#later + 1], later[#later + 2] = ARGV[3], key:sub(prefix) end
    if state and changed then since(key, changed, tonumber(version)) end
    if origin and call('HGET', key, '_t') == origin[1] then call('HDEL', key, '_t', '_q') end
  elseif (partly and call('HDEL', key, '_s', '_c') or call('HDEL', key, '_s')) > 0 then
    -- It was pending, held or dead: _c exists only beside _s.
    if texts > 0 then
      last = next_version(last or call('HGET', KEYS[1], 'v'), now_us())
      call('HSET', key, '_v', last, unpack(ARGV, row, row + texts - 1))
    end
    call('PEXPIRE', key, ARGV[at + 1])
    local id = key:sub(prefix)
    n = n + 1
    marked[n] = id
    event[2 * n + 1], event[2 * n + 2] = id, shown
    if origin then
      call('HDEL', key, '_t', '_q')
      from[#from + 1] = whole(n - 1) .. ' ' .. origin[1] .. ' ' .. origin[2]
    end
    if letters and call('HDEL', key, '_r') == 1 then
      local letter = version .. ':' .. id
      if call('SISMEMBER', KEYS[7], letter) == 1 then call('SADD', KEYS[7], 'persisted:' .. letter) end
    end
    -- Its row is not known, or was changed beside it.
    if texts < 0 or doubts and call('HEXISTS', key, '_x') == 1 then
      call('DEL', key)
      if ranked then doubt(id) end
    end
  end
  at = at + 2
  if texts > 0 then row = row + texts end
end

chunked(later, 'ZADD', KEYS[2], 'XX', 'GT')
if n > 0 then
  -- The id is only on the list that its state named.
  chunked(marked, 'ZREM', KEYS[2])
  if call('EXISTS', KEYS[3], KEYS[4]) > 0 then
    chunked(marked, 'ZREM', KEYS[3])
    chunked(marked, 'ZREM', KEYS[4])
    chunked(marked, 'HDEL', KEYS[5])
  end
  call('HINCRBY', KEYS[1], 'p', n)
  if from and #from > 0 then event[#event + 1] = table.concat(from, ';') end
  if last then call('HSET', KEYS[1], 'v', last) end
  if committed then call('HSET', KEYS[1], 'm', ARGV[5]) end
  tell(KEYS[1], KEYS[6], ARGV[1], ARGV[2], now, event)
end
return n
