-- Reads a partition's part of the rank: its best records, or the records around a place. A place is a score, negated,
-- and a member (see internal/layout/member.go); equal scores are ordered by member.
--
-- KEYS  1 stats  2 rank  3 unsure ranks
-- ARGV  1 mark of the rank by values  2 key of a record without its id
--       3 most members to return, on each side of a place
--       4 score of the place, "" for the best  5 its id  6 its member by values
--       7 mark of the rank by ids
-- Returns 1 the mark of the rank, "" it is not complete
--         2 ids of unsure rank, without those of writes in progress
--         3 number of ranked records
--         4 number of them before the place, without the place's own member
--         5 score, member, … of the members before the place, nearest first
--         6 the same of those from the place on, in their order; its own may be among them
local call = redis.call
local mark = call('HGET', KEYS[1], 'k')
if mark ~= ARGV[1] and mark ~= ARGV[7] then return { '', {}, 0, 0, {}, {} } end
local own = mark == ARGV[7] and ARGV[5] or ARGV[6]
local unsure = {}
for _, id in ipairs(call('SRANDMEMBER', KEYS[3], 1000)) do
  if call('HEXISTS', ARGV[2] .. id, '_b') == 0 then unsure[#unsure + 1] = id end
end

-- before compares members by their bytes, as sorted sets do; Lua's own < depends on the locale.
local function before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- position counts the members before the place: those of a better score and, found by binary search, those of the same
-- score whose member is smaller.
local function position(score, member)
  local low = call('ZCOUNT', KEYS[2], '-inf', '(' .. score)
  local high = low + call('ZCOUNT', KEYS[2], score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if before(call('ZRANGE', KEYS[2], middle, middle)[1], member) then low = middle + 1 else high = middle end
  end
  return low
end

-- members turns member, score, … into score, member, …
local function members(list, first, last, step)
  local out = {}
  for i = first, last, step do out[#out + 1], out[#out + 2] = list[i + 1], list[i] end
  return out
end

local at, side, count = 0, tonumber(ARGV[3]), 0
local left = {}
if ARGV[4] ~= '' then
  at = position(ARGV[4], own)
  count = at
  local place = call('ZRANK', KEYS[2], own)
  if place and place < at then count = at - 1 end
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
return { mark, unsure, call('ZCARD', KEYS[2]), count, left, right }
