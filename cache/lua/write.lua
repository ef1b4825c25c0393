-- Applies writes to records of some partitions of one entity, in order, each whole or
-- not at all. On a cluster the partitions of a call are one, as its keys are in one slot.
--
-- KEYS  1…P  the stats of each partition; its lists have the same base, and so its slot
--       P+1… the record of each write, in the order of the writes
--       then, on a cluster, a key that is never there: a node from or to which the slot is
--       being moved refuses a call that names a key it lacks, and else would run it up to
--       the first such key that it meets
-- ARGV  1 limit of pending, held and dead records of a partition
--       2 partitions of the entity
--       3 flush delay, ms        4 margin of the scheduled flag, ms; "" leaves it free: the
--                                  caller has no queue, and the sweep schedules the partition
--       5 lease, ms              6 operation ids kept  7 their age, ms
--       8 event channel          9 mark of the rank by values (see internal/layout/member.go), "" not ranked
--       10 F, number of fields   11… the fields of the entity
--       then R, the number of fields that had another name, and for each that name and its own
--       then "1" an operator's write is among these, which a full Redis accepts with the others of the call, else ""
--       then P, the number of partitions here, and for each partition the number of its writes, and for each write:
--         [member, where the mark has a "#"]
--         form   first letter p put, c create, a patch, i increment, d delete, r discard
--                to a row, g discard to no row;
--                with a second letter x the options follow, and before them, with a third
--                letter t, the origin
--         [t: trace and span id, request id: kept as _t and _q, see internal/layout/origin.go]
--         [x: if-match ("" any, "*" exists, or a version), operation id, its hash (and, behind a "=", another:
--             the operation is the same where either is), its owner,
--             fresh lease token, token of the loaded row (its lease; or "@" and the version
--             at which the record lacked a field), "" | "0" absent | "1" row,
--             ttl of a row installed without a write, ms; then, after "1", the row:
--             F values]
--         p, c, r  F values
--         a        F values, "" for one that stays as it is
--         i        a count and that many texts field, delta, smallest, largest
-- Returns  for each partition a list:
--          1 generation to order a sync task for, "" for none
--          2 where values depend on the records: "w" on any of them, "x" on single ones,
--            "wx" both, else ""
--          3… for each write:
--            version                               applied
--            {"increment", version, values…}       applied; the new value of each field
--            {"again", version, values…}           applied before under this operation id
--            {"reused"}                            operation id of another operation
--            {"keysfull"}                          refused: the partition keeps as many operation ids
--                                                  as it may, none of them beyond its age
--            {"keysfull", "owner"}                 refused: half of them are this owner's
--            {"miss", token}                       not cached: load the row, then write
--                                                  again with it and this token
--            {"lacking", version}                  the record has not got a field to increment;
--                                                  the version is "" where it is persisted
--            {"exists"} {"notfound"} {"mismatch"}  refused by a condition; a discard of a
--                                                  record that is not held or dead mismatches
--            {"full"}                              refused: a new id, and the limit is reached
--            {"null", field} {"overflow", field} {"low", field} {"high", field}
--            {"foreign", field}                    the row has a value that is no int
--          error PARTITIONS: a partition runs with another number of partitions
--
-- It calls no function of the prelude (internal/layout): each would cost its closure in every
-- call, and what it reads of the stats once serves all writes of the call.
--
-- Nothing below can fail after the first write, unless a key is not of its type or the user
-- may not call a command (see internal/rdb/errors.go, rights.go): Redis tests memory only before it, and HINCRBY is
-- the one command that can refuse, under pcall, and what it did is put back.

local call, format, unpack, tonumber = redis.call, string.format, unpack, tonumber
local KEYS, ARGV = KEYS, ARGV -- each is looked up many times
-- The faster format for whole numbers needs a C long of more than 32 bits.
local whole = format('%d', 2 ^ 52) == '4503599627370496' and '%d' or '%.0f'
local width = tonumber(ARGV[10])
local renamed = tonumber(ARGV[11 + width])
local though_full = ARGV[12 + width + 2 * renamed] ~= ''
local partitions = tonumber(ARGV[13 + width + 2 * renamed])
local all = {}
for p = 1, partitions do
  local s, flat = {}, call('HGETALL', KEYS[p])
  for i = 1, #flat, 2 do s[flat[i]] = flat[i + 1] end
  if s.n and s.n ~= ARGV[2] then return redis.error_reply('PARTITIONS ' .. s.n) end
  all[p] = s
end

local time = call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = format(whole, now)
local limit, ranked = tonumber(ARGV[1]), ARGV[9] ~= ''
local by = ranked and ARGV[9]:match('^[^#]*')
local ordered = ranked and by ~= ARGV[9]
local at, seat = 14 + width + 2 * renamed, partitions -- before the next text of ARGV, and of KEYS

-- record is the command that writes a whole record: its words contain the field names; a write sets its key, version
-- and values between them.
local record = { 'HSET', '', '_v', '', '_s', 'p' }
for i = 1, width do record[5 + 2 * i] = ARGV[10 + i] end
local last = 6 + 2 * width

-- The state of the current partition. missed and event are created only when needed.
local s, base, version, count, accepted, superseded, discarded
local listened, building, unsure, installed, room, missed, listing, event
local plain, plain_build -- the rank, or its rebuild, has ids for members

local function number(text) return tonumber(text) or 0 end

local function next_version()
  version = version + 1
  if version < now_us then version = now_us end
  return format(whole, version)
end

-- put writes a record for which ARGV has every value.
local function put(rec, v, from)
  record[2], record[4] = rec, v
  for i = 1, width do record[6 + 2 * i] = ARGV[from + i] end
  call(unpack(record, 1, last))
end

-- install puts a row into the cache, as persisted.
local function install(rec, v, from)
  local row = { 'HSET', rec, '_v', v }
  for i = 1, width do row[3 + 2 * i], row[4 + 2 * i] = ARGV[10 + i], ARGV[from + i] end
  call(unpack(row))
end

-- mark returns the field _c of a record (see doc.go) after a write of these fields: the record had old there, "" or
-- false for nothing, and was at a version; without a state it was persisted. If the newest version in old is another
-- one, something that does not maintain _c has written since, as a put does, and all fields may have changed.
local function mark(old, state, at, v, names)
  if not state then return v .. ' ' .. names end
  if not old or old:match('(%d+) [^; ]*$') ~= at then old = at .. ' *' end
  if old == at .. ' ' .. names then return v .. ' ' .. names end
  local among, kept = ',' .. names .. ',', {}
  for earlier, list in old:gmatch('(%d+) ([^;]*)') do
    local left = {}
    for name in list:gmatch('[^,]+') do
      if not among:find(',' .. name .. ',', 1, true) then left[#left + 1] = name end
    end
    if #left > 0 then kept[#kept + 1] = earlier .. ' ' .. table.concat(left, ',') end
  end
  kept[#kept + 1] = v .. ' ' .. names
  return table.concat(kept, ';')
end

-- remark returns the same after a discard, which reverts the changes: it names the same fields, or false for all.
local function remark(old, at, v)
  if not old or old:match('(%d+) [^; ]*$') ~= at then return false end
  local names = {}
  for list in old:gmatch('%d+ ([^;]*)') do
    if list ~= '' then names[#names + 1] = list end
  end
  names = table.concat(names, ',')
  return not names:find('*', 1, true) and v .. ' ' .. names
end

-- group returns which of the writes in the field _c named a field last; 0: none did.
local function group(changed, name)
  local n, last = 0, 0
  for list in changed:gmatch('%d+ ([^;]*)') do
    n = n + 1
    if (',' .. list .. ','):find(',' .. name .. ',', 1, true) then last = n end
  end
  return last
end

-- rename moves values that are under former names of fields to the names of today, and returns
-- what the record's field _c says then. See "Changed fields" in doc.go for which of two values is
-- the newer one. Of a record that is persisted the row has it: then the record lacks the field.
local function rename(rec, changed, unsaved)
  local marked = changed
  for i = 12 + width, 11 + width + 2 * renamed, 2 do
    local value, own = unpack(call('HMGET', rec, ARGV[i], ARGV[i + 1]))
    if value then
      if own and own ~= value and not unsaved then
        call('HDEL', rec, ARGV[i + 1])
      elseif not own or not marked or group(marked, ARGV[i + 1]) <= group(marked, ARGV[i]) then
        call('HSET', rec, ARGV[i + 1], value)
      end
      call('HDEL', rec, ARGV[i])
      if changed then changed = changed:gsub('([ ,])' .. ARGV[i] .. '%f[,;%z]', '%1' .. ARGV[i + 1]) end
    end
  end
  if changed ~= marked then call('HSET', rec, '_c', changed) end
  return changed
end

-- shed takes off a record that was put at a version the fields that this process does not know,
-- but for those that another one has changed since the last ack: a process that knows them is
-- still to write these, and _c says that they are older than the put. Of the others the row has
-- the values. A discard takes all back.
local function shed(rec, unsaved, changed, at, v)
  local own, old, kept = {}, {}, false
  for i = 1, width do own[ARGV[10 + i]] = true end
  if not changed or changed:match('(%d+) [^; ]*$') ~= at then changed = at .. ' *' end
  local all = changed:find('%*')
  local function changes(name)
    return changed:find('[ ,]' .. name .. '%f[,;%z]') or all and not changed:find('!' .. name .. '%f[,;%z]')
  end
  for _, name in ipairs(call('HKEYS', rec)) do
    if name == '_t' or name == '_q' then
      if not unsaved then old[#old + 1] = name end -- a worker that does not know them has left them
    elseif name:sub(1, 1) ~= '_' and not own[name] then
      if unsaved and changes(name) then
        kept = true
      else
        old[#old + 1] = name
      end
    end
  end
  if #old > 0 then call('HDEL', rec, unpack(old)) end
  if kept then call('HSET', rec, '_c', at .. ' *;' .. v .. ' ' .. table.concat(ARGV, ',', 11, 10 + width)) end
end

-- repeat_renamed writes the values of fields that had another name under that one, too: a process that knows no other
-- name reads there what it is to add to. To those that know the new one alone _c says that it is no change.
local function repeat_renamed(rec, v)
  local old = call('HGET', rec, '_c') or v .. ' *'
  local changed = old
  for i = 12 + width, 11 + width + 2 * renamed, 2 do
    local value = call('HGET', rec, ARGV[i + 1])
    if value then
      call('HSET', rec, ARGV[i], value)
      if not changed:find('!' .. ARGV[i] .. '%f[,;%z]') then changed = changed:gsub('%*', '*,!' .. ARGV[i], 1) end
    end
  end
  if changed ~= old then call('HSET', rec, '_c', changed) end
end

-- patch writes those values that are not "".
local function patch(rec, v, from, old, state, at)
  local some, names, n = { 'HSET', rec, '_v', v, '_s', 'p' }, {}, 8
  for i = 1, width do
    local value = ARGV[from + i]
    if value ~= '' then
      some[n + 1], some[n + 2] = ARGV[10 + i], value
      names[#names + 1] = ARGV[10 + i]
      n = n + 2
    end
  end
  some[7], some[8] = '_c', mark(old, state, at, v, table.concat(names, ','))
  call(unpack(some, 1, n))
end

-- less compares two whole numbers of any size by their digits, because Lua's own numbers are exact only up to 2^53.
local function less(a, b)
  local na, nb = a:sub(1, 1) == '-', b:sub(1, 1) == '-'
  if na ~= nb then return na end
  if na then a, b = b:sub(2), a:sub(2) end
  if #a ~= #b then return #a < #b end
  return a < b
end

-- of returns the value of a field in the row behind row_at.
local function of(field, row_at)
  for i = 1, width do
    if ARGV[10 + i] == field then return ARGV[row_at + i] end
  end
end

-- increment adds to int fields, all or none, and returns the refusal or nil, the new values and the names of the
-- fields. A field that the record lacks has the value of the row behind row_at, or 0 without a row.
local function increment(rec, from, to, row_at)
  local undo, added, values, names = {}, {}, {}, {}
  local function refuse(why, field)
    if #undo > 0 then call('HSET', rec, unpack(undo)) end
    if #added > 0 then call('HDEL', rec, unpack(added)) end
    return { why, field }
  end
  for i = from + 1, to, 4 do
    local field, by = ARGV[i], ARGV[i + 1]
    local old = call('HGET', rec, field)
    if not old then
      if row_at == 0 then return refuse('lacking') end
      old = of(field, row_at)
      if old ~= 'null' and old:sub(1, 1) ~= '!' then
        call('HSET', rec, field, old)
        added[#added + 1] = field
      end
    end
    if old == 'null' or old == '!' then return refuse('null', field) end
    if old:sub(1, 1) == '!' then return refuse('foreign', field) end
    local reply = redis.pcall('HINCRBY', rec, field, by)
    if type(reply) == 'table' then
      -- Any other error, such as that of a full Redis, is an error of the whole script.
      if not reply.err:find('overflow', 1, true) then call('HINCRBY', rec, field, by) end
      return refuse('overflow', field)
    end
    undo[#undo + 1], undo[#undo + 2] = field, old
    local new = call('HGET', rec, field) -- the reply is rounded beyond 2^53
    if by ~= '0' and less(by, '0') ~= less(new, old) then return refuse('overflow', field) end
    if less(new, ARGV[i + 2]) then return refuse('low', field) end
    if less(ARGV[i + 3], new) then return refuse('high', field) end
    values[#values + 1], names[#names + 1] = new, field
  end
  return nil, values, table.concat(names, ',')
end

-- rank puts a record at its place. Scores are negated, so that the greatest comes first, and of equal scores the
-- smaller id. In a rebuild, +inf stands for a record without score.
local function rank(rec, id, member)
  local score, gone = unpack(call('HMGET', rec, by, '_d'))
  -- A record that was written before its entity got the field keeps its row's place.
  if not score and not gone then return end
  local one, built = plain and id or member, plain_build and id or member
  if score and tonumber(score) then
    local place = score:sub(1, 1) == '-' and score:sub(2) or '-' .. score
    call('ZADD', base .. 'rank', place, one)
    if building then call('ZADD', base .. 'rankBuild', place, built) end
  else
    call('ZREM', base .. 'rank', one)
    if building then call('ZADD', base .. 'rankBuild', '+inf', built) end
  end
  if unsure then call('SREM', base .. 'rankUnsure', id) end
end

-- trim removes operation ids beyond their age, a bounded number at a time, as the prelude does.
local function trim(most)
  local ops = base .. 'ops'
  local old = call('ZRANGEBYSCORE', ops .. 'At', '-inf', now - ARGV[7], 'LIMIT', 0, most)
  if #old == 0 then return end
  call('ZREM', ops .. 'At', unpack(old))
  for i = 1, #old do
    local key, owner = old[i]:match('^(.*)\1([%w_-]+)$')
    if owner then
      old[i] = key
      if call('HINCRBY', ops .. 'Of', owner, -1) < 1 then call('HDEL', ops .. 'Of', owner) end
    end
  end
  call('HDEL', ops, unpack(old))
end

-- apply executes the next write of ARGV on the record.
local function apply(rec)
  local id = rec:sub(#base + 3) -- behind "r:"
  local member = id
  if ordered then
    member = ARGV[at + 1]
    at = at + 1
  end
  local form = ARGV[at + 1]
  at = at + 1
  local op = #form == 1 and form or form:sub(1, 1)
  local m = call('HMGET', rec, '_v', '_s', '_d', '_l', '_b', '_c')
  local rv, rs, gone, lease, barrier, changed = m[1], m[2], m[3], m[4], m[5], m[6]
  local match, key, hash, owner, fresh, token, row, ttl, row_at = '', '', '', '', '', '', '', '0', 0
  local trace, request
  if #form > 1 then
    if #form == 3 then
      trace, request = ARGV[at + 1], ARGV[at + 2]
      at = at + 2
    end
    match, key, hash, owner, fresh, token, row, ttl = unpack(ARGV, at + 1, at + 8)
    at = at + 8
    if row == '1' then
      row_at = at
      at = at + width
    end
  end
  local from, to = at, at -- ARGV has the write's values behind from, up to to
  if op == 'i' then
    from = at + 1
    to = from + ARGV[from]
  elseif op ~= 'd' and op ~= 'g' then
    to = at + width
  end
  at = to
  local discards = op == 'r' or op == 'g'

  local alike
  if key ~= '' then
    hash, alike = hash:match('^([^=]*)(.*)$')
    local seen = call('HGET', base .. 'ops', key)
    if seen then
      local answer = cjson.decode(seen)
      local other = answer[#answer]:sub(1, 1) == '=' and table.remove(answer)
      if answer[1] ~= hash and other ~= alike then return { 'reused' } end
      answer[1] = 'again'
      return answer
    end
    if not room then
      trim(1000)
      room = ARGV[6] - call('ZCARD', base .. 'opsAt')
    end
    if room <= 0 then return { 'keysfull' } end
    if owner ~= '' and number(call('HGET', base .. 'opsOf', owner)) >= math.max(1, ARGV[6] / 2) then
      return { 'keysfull', 'owner' }
    end
  end

  -- A later write of a record waits for an earlier write of the same call.
  if missed and missed[rec] then return { 'miss', lease or '-' } end
  if not rv and (op ~= 'p' or match ~= '') then
    -- A row loaded behind a barrier may be older than the write that set the barrier.
    if barrier then return { 'miss', '-' } end
    if row == '' or not lease or lease ~= token then
      if not lease then
        lease = fresh
        call('HSET', rec, '_l', lease)
      end
      call('PEXPIRE', rec, ARGV[5])
      missed = missed or {}
      missed[rec] = true
      return { 'miss', lease }
    end
    -- The row was loaded under a lease that no write, deletion or invalidation has removed since: it is the record.
    rv, rs = next_version(), false
    installed = true
    if row == '1' then
      install(rec, rv, row_at)
    else
      gone = '1'
      call('HSET', rec, '_v', rv, '_d', '1')
    end
    call('HDEL', rec, '_l')
    call('PEXPIRE', rec, ttl)
    lease = false
    if ranked then rank(rec, id, member) end
  end

  if match == '*' then
    if gone then return { 'mismatch' } end
  elseif match ~= '' and (match ~= rv or (gone and not discards)) then
    return { 'mismatch' }
  end
  if op == 'c' and rv and not gone then return { 'exists' } end
  if renamed > 0 and rv then changed = rename(rec, changed, rs) end
  if gone and (op == 'a' or op == 'i' or op == 'd') then return { 'notfound' } end
  if discards and (match ~= rv or (rs ~= 'h' and rs ~= 'd')) then return { 'mismatch' } end
  if not rs and count >= limit then return { 'full' } end

  local values, names
  if op == 'i' then
    local refusal
    -- The row's value is the record's if the row was read while the record was at this version, and the record has not
    -- been persisted since: no earlier write is still on its way.
    refusal, values, names = increment(rec, from, to, rs and token == '@' .. rv and row_at or 0)
    if refusal then
      if refusal[1] == 'lacking' then
        refusal[2] = rs and rv or ''
        missed = missed or {}
        missed[rec] = true
      end
      return refusal
    end
  end
  local v = next_version()
  if op == 'd' or op == 'g' then
    call('DEL', rec)
    call('HSET', rec, '_v', v, '_s', 'p', '_d', '1')
  else
    if op == 'i' then
      call('HSET', rec, '_v', v, '_s', 'p', '_c', mark(changed, rs, rv, v, names))
    elseif op == 'a' then
      patch(rec, v, from, changed, rs, rv)
    else
      put(rec, v, from)
      if changed then
        local same = discards and remark(changed, rv, v)
        if same then call('HSET', rec, '_c', same) else call('HDEL', rec, '_c') end
      end
    end
    if gone or lease or barrier then call('HDEL', rec, '_d', '_l', '_b') end
    if rv and op ~= 'i' and op ~= 'a' and call('HLEN', rec) > 2 + width then
      shed(rec, rs and not discards, changed, rv, v)
    end
    if not rs and (rv or lease or barrier) then call('PERSIST', rec) end
    if renamed > 0 then repeat_renamed(rec, v) end
  end
  if trace then call('HSET', rec, '_t', v .. ' ' .. trace, '_q', request) end

  if ranked then rank(rec, id, member) end
  accepted = accepted + 1
  if discards then
    discarded = discarded + 1
  elseif rs then
    superseded = superseded + 1
  else
    count = count + 1
  end
  if rs == 'h' or rs == 'd' then
    call('ZREM', base .. (rs == 'h' and 'held' or 'dead'), id)
    call('HDEL', base .. 'why', id)
  end
  if rs ~= 'p' then listing[#listing + 1], listing[#listing + 2] = now_text, id end
  if listened then
    event[#event + 1], event[#event + 2] = id, (op == 'd' or op == 'g') and '-' .. v or v
  end

  if key ~= '' then
    local answer = { hash, v, unpack(values or {}) }
    if alike ~= '' then answer[#answer + 1] = alike end
    call('HSET', base .. 'ops', key, cjson.encode(answer))
    if owner ~= '' then
      key = key .. '\1' .. owner
      call('HINCRBY', base .. 'opsOf', owner, 1)
    end
    call('ZADD', base .. 'opsAt', now_text, key)
    room = room - 1
  end
  return values and { 'increment', v, unpack(values) } or v
end

-- settle writes the partition's statistics, takes its scheduled flag if it is free, and returns the generation to
-- enqueue a task for, and whether values depend on the records.
local function settle(stats)
  local sequence = format(whole, number(s.q) + 1)
  local generation = ''
  local set = { 'HSET', stats, 'v', format(whole, version), 'a', format(whole, number(s.a) + accepted), 'q', sequence }
  local function also(name, value) set[#set + 1], set[#set + 2] = name, value end
  if superseded > 0 then also('s', format(whole, number(s.s) + superseded)) end
  if discarded > 0 then also('d', format(whole, number(s.d) + discarded)) end
  if not s.n then also('n', ARGV[2]) end
  if not s.z and ARGV[4] ~= '' and number(s.u) <= now then
    generation = format(whole, (tonumber(s.g) or now) + 1)
    also('g', generation)
    also('u', format(whole, now + ARGV[3] + ARGV[4]))
  end
  call(unpack(set))
  -- A process that ranks by another field, or not at all, leaves an incomplete rank.
  local built = s.kb and s.kb:match('^[^:]*')
  if s.k and s.k ~= ARGV[9] and s.k ~= by or built and built ~= ARGV[9] and built ~= by then
    call('HDEL', stats, 'k', 'kb', 'ku')
  end
  if listened then
    event[2] = now_text .. '/' .. sequence
    call('PUBLISH', ARGV[8], cjson.encode(event))
  end
  return generation, (number(s.w) > now and 'w' or '') .. (number(s.x) > now and 'x' or '')
end

if though_full then call('HDEL', KEYS[1], '') end -- as in the prelude
local results = {}
for p = 1, partitions do
  local stats = KEYS[p]
  s, base = all[p], stats:sub(1, -6) -- without "stats"
  version, count = number(s.v), number(s.a) - number(s.s) - number(s.p) - number(s.d) - number(s.l)
  accepted, superseded, discarded = 0, 0, 0
  listened, installed, room = number(s.e) > now, false, nil
  missed, listing, event = nil, {}, listened and { 'written', '' }
  building = ranked and number(s.ku) > now
  plain = s.k and not s.k:find('#', 1, true)
  plain_build = building and not s.kb:find('#', 1, true)
  unsure = ranked and call('EXISTS', base .. 'rankUnsure') == 1

  local result = { '', '' }
  local writes = tonumber(ARGV[at])
  for i = 1, writes do
    result[2 + i] = apply(KEYS[seat + i])
  end
  seat, at = seat + writes, at + 1
  for i = 1, #listing, 1000 do -- unpack is limited to a few thousand texts
    call('ZADD', base .. 'pending', unpack(listing, i, math.min(i + 999, #listing)))
  end
  if accepted > 0 then
    result[1], result[2] = settle(stats)
  elseif installed then
    call('HSET', stats, 'v', format(whole, version))
  end
  results[p] = result
end
return results
