-- Notes the turn of a flush once it has read its batch. Call it while the partition's fence is locked.
--
-- A Redis may have gone back between the reads and this. What it has now includes all that was read, if it has the
-- token, which the script due has set, and no field of a trip, which the trip has removed after its reads.
--
-- KEYS  1 stats
-- ARGV  1 field of the token  2 the token  3 round trips that have read records  4 the turn before  5 the turn
-- Returns "broken" if it went back since, "older" if it is older than the flush before, else ""
local call = redis.call
if call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 'broken' end
for i = 1, tonumber(ARGV[3]) do
  if call('HEXISTS', KEYS[1], ARGV[1] .. i) == 1 then return 'broken' end
end
return turned(KEYS[1], ARGV[4], ARGV[5]) and 'older' or ''
