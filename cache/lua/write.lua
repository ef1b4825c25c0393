-- Applies writes to records of one partition, in order, each whole or not at all.
--
-- KEYS  1 stats  2 pending  3 held  4 dead  5 why  6 ops  7 opsAt
--       8 rank  9 its rebuild  10 unsure ranks
--       11…     the record of each write, in the order of the writes
-- ARGV  1 limit of pending, held and dead records    2 partitions of the entity
--       3 flush delay, ms        4 margin of the scheduled flag, ms
--       5 lease, ms              6 operation ids kept  7 their age, ms
--       8 event channel          9 number of writes
--       10 the field that ranks the records, "" none
--       then for each write:
--         form   first letter p put, c create, a patch, i increment, d delete, r discard;
--                with a second letter x the options follow
--         id
--         [x: if-match ("" any, "*" exists, or a version), operation id, its hash,
--             fresh lease token, token of the loaded row, "" | "0" absent | "1" row,
--             ttl of a row installed without a write, ms; then, after "1", the row:
--             a count and that many texts field, value]
--         p, c, a  a count and that many texts field, value
--         r        the same for the row that the record is put back to, 0 for no row
--         i        a count and that many texts field, delta, smallest, largest
-- Returns  1 generation to order a sync task for, "" for none
--          2… for each write:
--            version                               applied
--            {"increment", version, values…}       applied; the new value of each field
--            {"again", version, values…}           applied before under this operation id
--            {"reused"}                            operation id of another operation
--            {"miss", token}                       not cached: load the row, then write
--                                                  again with it and this token
--            {"exists"} {"notfound"} {"mismatch"}  refused by a condition; a discard of a
--                                                  record that is not held or dead mismatches
--            {"full"}                              refused: a new id, and the limit is reached
--            {"null", field} {"overflow", field} {"low", field} {"high", field}
--          then, only where values depend on the records: "w" on any of them, "x" on
--          single ones, "wx" both
--          error PARTITIONS: the partition runs with another number of partitions
--
-- Nothing below can fail after the first write: Redis tests memory only before it, and
-- HINCRBY is the one command that can refuse, under pcall, and what it did is put back.

local call, format = redis.call, string.format
local stats = KEYS[1]
local s = call('HMGET', stats, 'v', 'a', 's', 'p', 'd', 'l', 'g', 'u', 'e', 'n', 'z', 'w', 'x', 'q', 'k', 'kb', 'ku')
if s[10] and s[10] ~= ARGV[2] then
  return redis.error_reply('PARTITIONS ' .. s[10])
end
local time = call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local version = tonumber(s[1]) or 0
local accepted, superseded, discarded = 0, 0, 0
local count = (tonumber(s[2]) or 0) - (tonumber(s[3]) or 0) - (tonumber(s[4]) or 0)
    - (tonumber(s[5]) or 0) - (tonumber(s[6]) or 0)
local limit, listened = tonumber(ARGV[1]), (tonumber(s[9]) or 0) > now
local installed, keyed = false, false
local missed = {}
local number = format('%.0f', (tonumber(s[14]) or 0) + 1)
local listing, event = {}, { 'written', format('%.0f', now) .. '/' .. number }
local at = 11
local ranked = ARGV[10] ~= ''
local building = ranked and (tonumber(s[17]) or 0) > now
local unsure = ranked and call('EXISTS', KEYS[10]) == 1

local function next_version()
  version = version + 1
  if version < now_us then version = now_us end
  return format('%.0f', version)
end

-- take returns the next texts of ARGV, counted by the one before them.
local function take()
  local from = at + 1
  at = from + ARGV[at]
  return { unpack(ARGV, from, at - 1) }
end

-- less compares two whole numbers of any size by their digits: Lua's own numbers
-- end at 2^53.
local function less(a, b)
  local na, nb = a:sub(1, 1) == '-', b:sub(1, 1) == '-'
  if na ~= nb then return na end
  if na then a, b = b:sub(2), a:sub(2) end
  if #a ~= #b then return #a < #b end
  return a < b
end

-- increment adds to int fields, all or nothing, and returns the refusal or nil and
-- the new values.
local function increment(rec, deltas)
  local undo, values = {}, {}
  local function refuse(why, field)
    if #undo > 0 then call('HSET', rec, unpack(undo)) end
    return { why, field }
  end
  for i = 1, #deltas, 4 do
    local field, by = deltas[i], deltas[i + 1]
    local old = call('HGET', rec, field)
    if not old or old == 'null' then return refuse('null', field) end
    local reply = redis.pcall('HINCRBY', rec, field, by)
    if type(reply) == 'table' then
      -- Any other error, such as that of a full Redis, is the whole script's.
      if not reply.err:find('overflow', 1, true) then call('HINCRBY', rec, field, by) end
      return refuse('overflow', field)
    end
    undo[#undo + 1], undo[#undo + 2] = field, old
    local new = call('HGET', rec, field) -- the reply is rounded beyond 2^53
    if by ~= '0' and less(by, '0') ~= less(new, old) then return refuse('overflow', field) end
    if less(new, deltas[i + 2]) then return refuse('low', field) end
    if less(deltas[i + 3], new) then return refuse('high', field) end
    values[#values + 1] = new
  end
  return nil, values
end

-- rank puts a record at its place. Scores are negated, so that the greatest comes first,
-- and of equal ones the smaller id. In a rebuild, +inf stands for a record without score.
local function rank(rec, id)
  local score = call('HGET', rec, ARGV[10])
  if score and tonumber(score) then
    local place = score:sub(1, 1) == '-' and score:sub(2) or '-' .. score
    call('ZADD', KEYS[8], place, id)
    if building then call('ZADD', KEYS[9], place, id) end
  else
    call('ZREM', KEYS[8], id)
    if building then call('ZADD', KEYS[9], '+inf', id) end
  end
  if unsure then call('SREM', KEYS[10], id) end
end

local function apply(rec)
  local form, id = ARGV[at], ARGV[at + 1]
  at = at + 2
  local op = form:sub(1, 1)
  local m = call('HMGET', rec, '_v', '_s', '_d', '_l', '_b')
  local rv, rs, gone, lease, barrier = m[1], m[2], m[3], m[4], m[5]
  local match, key, hash, fresh, token, row, ttl = '', '', '', '', '', '', '0'
  local row_fields
  if #form > 1 then
    match, key, hash, fresh = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    token, row, ttl = ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
    at = at + 7
    if row == '1' then row_fields = take() end
  end
  local deltas
  local from, to = 0, -1 -- where ARGV has the texts of the record
  if op == 'i' then
    deltas = take()
  elseif op ~= 'd' then
    from = at + 1
    to = at + ARGV[at]
    at = to + 1
  end
  local deletes = op == 'd' or (op == 'r' and from > to)

  if key ~= '' then
    local seen = call('HGET', KEYS[6], key)
    if seen then
      local answer = cmsgpack.unpack(seen)
      if answer[1] ~= hash then return { 'reused' } end
      answer[1] = 'again'
      return answer
    end
  end

  -- A later write of a record waits for an earlier one of the same call.
  if missed[rec] then return { 'miss', lease } end
  if not rv and (op ~= 'p' or match ~= '') then
    -- What is loaded behind a barrier may be older than the write that put it up.
    if barrier then return { 'miss', '-' } end
    if row == '' or not lease or lease ~= token then
      if not lease then
        lease = fresh
        call('HSET', rec, '_l', lease)
      end
      call('PEXPIRE', rec, ARGV[5])
      missed[rec] = true
      return { 'miss', lease }
    end
    -- The row was loaded under a lease that no write, deletion or invalidation has
    -- removed since: it is the record.
    rv, rs = next_version(), false
    installed = true
    if row == '1' then
      call('HSET', rec, '_v', rv, unpack(row_fields))
    else
      gone = '1'
      call('HSET', rec, '_v', rv, '_d', '1')
    end
    call('HDEL', rec, '_l')
    call('PEXPIRE', rec, ttl)
    lease = false
    if ranked then rank(rec, id) end
  end

  if match == '*' then
    if gone then return { 'mismatch' } end
  elseif match ~= '' and (match ~= rv or (gone and op ~= 'r')) then
    return { 'mismatch' }
  end
  if op == 'c' and rv and not gone then return { 'exists' } end
  if gone and (op == 'a' or op == 'i' or op == 'd') then return { 'notfound' } end
  if op == 'r' and (match ~= rv or (rs ~= 'h' and rs ~= 'd')) then return { 'mismatch' } end
  if not rs and count >= limit then return { 'full' } end

  local result, values
  if op == 'i' then
    local refusal
    refusal, values = increment(rec, deltas)
    if refusal then return refusal end
  end
  local v = next_version()
  if deletes then
    call('DEL', rec)
    call('HSET', rec, '_v', v, '_s', 'p', '_d', '1')
  else
    call('HSET', rec, '_v', v, '_s', 'p', unpack(ARGV, from, to))
    if gone or lease or barrier then call('HDEL', rec, '_d', '_l', '_b') end
    if not rs and (rv or lease or barrier) then call('PERSIST', rec) end
  end

  if ranked then rank(rec, id) end
  accepted = accepted + 1
  if op == 'r' then
    discarded = discarded + 1
  elseif rs then
    superseded = superseded + 1
  else
    count = count + 1
  end
  if rs == 'h' then call('ZREM', KEYS[3], id) elseif rs == 'd' then call('ZREM', KEYS[4], id) end
  if rs == 'h' or rs == 'd' then call('HDEL', KEYS[5], id) end
  if rs ~= 'p' then listing[#listing + 1], listing[#listing + 2] = now, id end
  if listened then
    event[#event + 1], event[#event + 2] = id, deletes and '-' .. v or v
  end

  if values then result = { 'increment', v, unpack(values) } else result = v end
  if key ~= '' then
    call('HSET', KEYS[6], key, cmsgpack.pack({ hash, v, unpack(values or {}) }))
    call('ZADD', KEYS[7], now, key)
    keyed = true
  end
  return result
end

local results = { '' }
for i = 1, tonumber(ARGV[9]) do
  results[i + 1] = apply(KEYS[10 + i])
end

-- Kept operation ids are bounded in age and number; each new one trims a few.
if keyed then
  local old = call('ZRANGEBYSCORE', KEYS[7], '-inf', now - ARGV[7], 'LIMIT', 0, 100)
  local over = call('ZCARD', KEYS[7]) - ARGV[6]
  if #old == 0 and over > 0 then old = call('ZRANGE', KEYS[7], 0, math.min(over, 100) - 1) end
  if #old > 0 then
    call('HDEL', KEYS[6], unpack(old))
    call('ZREM', KEYS[7], unpack(old))
  end
end
if #listing > 0 then
  for i = 1, #listing, 1000 do
    call('ZADD', KEYS[2], unpack(listing, i, math.min(i + 999, #listing)))
  end
end
if accepted > 0 then
  local set = { 'v', format('%.0f', version),
    'a', format('%.0f', (tonumber(s[2]) or 0) + accepted),
    's', format('%.0f', (tonumber(s[3]) or 0) + superseded), 'q', number }
  if not s[11] and (tonumber(s[8]) or 0) <= now then
    local g = format('%.0f', (tonumber(s[7]) or now) + 1)
    set[9], set[10], set[11], set[12] = 'g', g, 'u', format('%.0f', now + ARGV[3] + ARGV[4])
    results[1] = g
  end
  if discarded > 0 then
    set[#set + 1], set[#set + 2] = 'd', format('%.0f', (tonumber(s[5]) or 0) + discarded)
  end
  if not s[10] then
    set[#set + 1], set[#set + 2] = 'n', ARGV[2]
  end
  call('HSET', stats, unpack(set))
  -- Whoever ranks otherwise, or not at all, leaves a rank that is not complete.
  if s[15] and s[15] ~= ARGV[10] or s[16] and s[16]:sub(1, #ARGV[10] + 1) ~= ARGV[10] .. ':' then
    call('HDEL', stats, 'k', 'kb', 'ku')
  end
  if listened then call('PUBLISH', ARGV[8], cjson.encode(event)) end
  local watched = ((tonumber(s[12]) or 0) > now and 'w' or '') .. ((tonumber(s[13]) or 0) > now and 'x' or '')
  if watched ~= '' then results[#results + 1] = watched end
elseif installed then
  call('HSET', stats, 'v', format('%.0f', version))
end
return results
