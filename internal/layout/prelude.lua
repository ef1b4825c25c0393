-- The functions that the scripts share. Each is separated by blank lines and has a comment. Only the functions that a
-- script calls are prepended to it: any other would cost its closure in every run. lua/write.lua calls none of them; it
-- says why.

-- though_full lets the script go on in a Redis that is full. Redis refuses a script there at its first write, if that is
-- a command that can take memory, and asks no more after a command that can only free some. So this one removes nothing
-- ('') from a hash (HDEL), a set (SREM) or a sorted set (ZREM), before any other write. doc.go says which scripts call it.
local function though_full(command, key)
  redis.call(command, key, '')
end

-- whole is a whole number as text: tostring keeps 14 digits.
local function whole(n)
  return string.format('%.0f', n)
end

-- now_ms and now_us are the time of Redis. It stands still while a script runs.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- number is a number of a hash; 0 where the field is missing.
local function number(text)
  return tonumber(text) or 0
end

-- claim takes the scheduled flag of a partition for life ms from now, and returns the new
-- generation. g is the generation before, of the stats.
local function claim(stats, g, now, life)
  local generation = whole((tonumber(g) or now) + 1)
  redis.call('HSET', stats, 'g', generation, 'u', whole(now + life))
  return generation
end

-- tell numbers an event, whose second text is its time so far, keeps it in the stream of the
-- partition and publishes it if a process listens.
local function tell(stats, stream, channel, kept, now, event)
  event[2] = event[2] .. '/' .. redis.call('HINCRBY', stats, 'q', 1)
  local message = cjson.encode(event)
  redis.call('XADD', stream, 'MAXLEN', '~', kept, '*', 'e', message)
  if number(redis.call('HGET', stats, 'e')) > now then redis.call('PUBLISH', channel, message) end
end

-- lasts has a field of the stats name a time that is at least life ms from now.
local function lasts(stats, field, life)
  local till = now_ms() + life
  if number(redis.call('HGET', stats, field)) < till then redis.call('HSET', stats, field, whole(till)) end
end

-- turned notes in the stats of a partition, while its fence is locked, the turn of a transaction that is to commit and
-- the last one that was committed ("" for none), and returns whether Redis has no note of that, and so is older, or an
-- ack has told of a later commit (m), which the database lacks: then nothing is noted. A note of a turn that was rolled
-- back is replaced.
local function turned(stats, before, turn)
  local t, y, m = unpack(redis.call('HMGET', stats, 't', 'y', 'm'))
  if before ~= '' and t ~= before and y ~= before then return true end
  if m and m ~= before and number(m:match('^%d+')) >= number(before:match('^%d+')) then return true end
  though_full('HDEL', stats)
  redis.call('HSET', stats, 't', before, 'y', turn)
  return false
end

-- forget_ops removes operation ids from before a time, at most so many. Of an id with an owner opsAt has a 1 byte and the
-- owner behind it, and opsOf counts the owner's.
local function forget_ops(ops, before, most)
  local old = redis.call('ZRANGEBYSCORE', ops .. 'At', '-inf', before, 'LIMIT', 0, most)
  if #old == 0 then return end
  redis.call('ZREM', ops .. 'At', unpack(old))
  for i = 1, #old do
    local key, owner = old[i]:match('^(.*)\1([%w_-]+)$')
    if owner then
      old[i] = key
      if redis.call('HINCRBY', ops .. 'Of', owner, -1) < 1 then redis.call('HDEL', ops .. 'Of', owner) end
    end
  end
  redis.call('HDEL', ops, unpack(old))
end

-- next_version is the version after last, of the stats, at a time in µs.
local function next_version(last, now)
  local version = number(last) + 1
  if version < now then version = now end
  return whole(version)
end

-- place is the place of a score in a rank; nil where it is "null". Scores are negated, so
-- that the greatest comes first.
local function place(score)
  if not tonumber(score) then return nil end
  return score:sub(1, 1) == '-' and score:sub(2) or '-' .. score
end

-- seat puts a record at its place in a rank, and in its rebuild where one is under way at now, ms, in which +inf stands
-- for a record without score. The record is not unsure any more. See layout/member.go for members and marks.
local function seat(stats, rank, build, unsure, now, id, member, score)
  local at = place(score)
  local k, kb, till = unpack(redis.call('HMGET', stats, 'k', 'kb', 'ku'))
  local one = k and not k:find('#', 1, true) and id or member
  if at then redis.call('ZADD', rank, at, one) else redis.call('ZREM', rank, one) end
  if number(till) > now then
    redis.call('ZADD', build, at or '+inf', kb:find('#', 1, true) and member or id)
  end
  redis.call('SREM', unsure, id)
end

-- chunked gives a list to a command, a thousand texts a call, behind the words of its head:
-- Lua's unpack ends at a few thousand values.
local function chunked(list, ...)
  local words = { ... }
  local head = #words
  for i = 1, #list, 1000 do
    for j = 1, 1000 do words[head + j] = list[i + j - 1] end
    redis.call(unpack(words))
  end
end

-- dependents returns what depends on a partition's records, by the fields w and x of its stats: "w" values of any
-- record, "x" of single ones, "wx" both, "" none.
local function dependents(w, x, now)
  return (number(w) > now and 'w' or '') .. (number(x) > now and 'x' or '')
end
