-- Reads a partition's part of the rank: its best records, or the records around a place. A place is a score, negated,
-- and an id; equal scores are ordered by id.
--
-- KEYS  1 stats  2 rank  3 unsure ranks
-- ARGV  1 the field that ranks the records  2 key of a record without its id
--       3 most members to return, on each side of a place
--       4 score of the place, "" for the best  5 its id
-- Returns 1 "1" if the rank is complete, else ""
--         2 ids of unsure rank, without those of writes in progress
--         3 number of ranked records
--         4 number of them before the place, without the place's own id
--         5 score, id, … of the members before the place, nearest first
--         6 the same of those from the place on, in their order; its own id may be among them
local call = redis.call
if call('HGET', KEYS[1], 'k') ~= ARGV[1] then return { '', {}, 0, 0, {}, {} } end
local unsure = {}
for _, id in ipairs(call('SRANDMEMBER', KEYS[3], 1000)) do
  if call('HEXISTS', ARGV[2] .. id, '_b') == 0 then unsure[#unsure + 1] = id end
end

-- before compares ids by their bytes, as sorted sets do; Lua's own < depends on the locale.
local function before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- position counts the members before the place: those of a better score and, found by binary search, those of the same
-- score whose id is smaller.
local function position(score, id)
  local low = call('ZCOUNT', KEYS[2], '-inf', '(' .. score)
  local high = low + call('ZCOUNT', KEYS[2], score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if before(call('ZRANGE', KEYS[2], middle, middle)[1], id) then low = middle + 1 else high = middle end
  end
  return low
end

-- members turns id, score, … into score, id, …
local function members(list, first, last, step)
  local out = {}
  for i = first, last, step do out[#out + 1], out[#out + 2] = list[i + 1], list[i] end
  return out
end

local at, side, count = 0, tonumber(ARGV[3]), 0
local left = {}
if ARGV[4] ~= '' then
  at = position(ARGV[4], ARGV[5])
  count = at
  local own = call('ZRANK', KEYS[2], ARGV[5])
  if own and own < at then count = at - 1 end
  if at > 0 and side > 0 then
    local list = call('ZRANGE', KEYS[2], math.max(0, at - side), at - 1, 'WITHSCORES')
    left = members(list, #list - 1, 1, -2)
  end
end
local right = {}
if side > 0 then
  local list = call('ZRANGE', KEYS[2], at, at + side, 'WITHSCORES')
  right = members(list, 1, #list - 1, 2)
end
return { '1', unsure, call('ZCARD', KEYS[2]), count, left, right }
