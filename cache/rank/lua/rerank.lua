-- Puts records into the rebuild of a partition's rank, and extends the rebuild's life. Entries that a write or a fill
-- has added since the rebuild began are newer than the row, and stay.
--
-- KEYS  1 stats  2 the rebuild
-- ARGV  1 token of the rebuild  2 its life from now, ms
--       3 the field that ranks the records  4 key of a record without its id
--       5… for each record id; its member; score of its row, "null" none, "" only the id is known
-- Returns 1, or 0 if the rebuild is over: its life has ended, or another has begun
local call = redis.call
local token, till = unpack(call('HMGET', KEYS[1], 'kb', 'ku'))
local now = now_ms()
if token ~= ARGV[1] or number(till) <= now then return 0 end
call('HSET', KEYS[1], 'ku', whole(now + ARGV[2]))
for i = 5, #ARGV, 3 do
  local id, member, score = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local gone, cached = unpack(call('HMGET', ARGV[4] .. id, '_d', ARGV[3]))
  -- A record that was written before its entity got the field has its row's score.
  if gone then score = 'null' else score = cached or score end
  if score ~= '' then
    call('ZADD', KEYS[2], 'NX', place(score) or '+inf', member)
  end
end
return 1
