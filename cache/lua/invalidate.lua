-- Drops persisted records from the cache, and the leases of loads that may have read an older row. It never drops a
-- pending, held or dead record, nor the barrier of a write that is on its way to the database, behind which nothing is
-- cached.
--
-- Before a transaction that changes rows of theirs beside its own it also bars fills until the
-- transaction is over. The barrier takes the place of another one, whose write then keeps
-- nothing in the cache; a record that is not persisted is dropped by its ack (_x).
--
-- Of rows that another program changed, a record that is not persisted is a conflict: it is
-- dropped by its ack (_x is 2), too, and counted, once until then. Behind the barrier of another write nothing is to be
-- kept when that write ends (_x): it may have read its row before.
--
-- KEYS  1 stats  2 unsure ranks  3 stream  4… the records
-- ARGV  1 event channel  2 most ids of unsure rank, 0 records are not ranked
--       3 token of the barrier, "" none
--       4 its life, ms; 0 it ends; -1 other programs changed the rows; -2 they may have, and
--         nothing is counted
--       5 entries of the stream  6… the ids
-- Returns {number of records dropped, id, … of the conflicts}
though_full('HDEL', KEYS[1])
local now = now_ms()
local bars, others = tonumber(ARGV[4]) > 0, tonumber(ARGV[4]) < 0
local dropped, event = 0, { others and 'changed' or 'invalidated', whole(now) }
local conflicts, conflict = {}, { 'conflict', whole(now) }
for i = 4, #KEYS do
  local v, s, barrier, doubt = unpack(redis.call('HMGET', KEYS[i], '_v', '_s', '_b', '_x'))
  if s then
    local counts = ARGV[4] == '-1' and doubt ~= '2'
    if bars or others then
      redis.call('HSET', KEYS[i], '_x', counts and '2' or doubt or '1')
      redis.call('HSET', KEYS[1], '_x', '1')
    end
    if counts then
      conflicts[#conflicts + 1] = ARGV[i + 2]
      conflict[#conflict + 1], conflict[#conflict + 2] = ARGV[i + 2], v
    end
  elseif others and barrier then
    redis.call('HSET', KEYS[i], '_x', '1')
  elseif not barrier or bars or barrier == ARGV[3] then
    redis.call('DEL', KEYS[i])
    event[#event + 1], event[#event + 2] = ARGV[i + 2], '0'
    if ARGV[2] ~= '0' then redis.call('SADD', KEYS[2], ARGV[i + 2]) end
    if v then dropped = dropped + 1 end
    if bars then
      redis.call('HSET', KEYS[i], '_b', ARGV[3])
      redis.call('PEXPIRE', KEYS[i], ARGV[4])
    end
  end
end
-- After so many changed rows it is better to read all again.
if ARGV[2] ~= '0' and redis.call('SCARD', KEYS[2]) > tonumber(ARGV[2]) then
  redis.call('DEL', KEYS[2])
  redis.call('HDEL', KEYS[1], 'k', 'kb', 'ku')
end
if #conflicts > 0 then
  redis.call('HINCRBY', KEYS[1], 'c', #conflicts)
  tell(KEYS[1], KEYS[3], ARGV[1], ARGV[5], now, conflict)
end
if #event > 2 and others then
  tell(KEYS[1], KEYS[3], ARGV[1], ARGV[5], now, event)
elseif #event > 2 then
  event[2] = event[2] .. '/' .. redis.call('HINCRBY', KEYS[1], 'q', 1)
  if number(redis.call('HGET', KEYS[1], 'e')) > now then
    redis.call('PUBLISH', ARGV[1], cjson.encode(event))
  end
end
return { dropped, unpack(conflicts) }
