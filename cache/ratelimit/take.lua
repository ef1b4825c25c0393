-- Takes a request from the quotas of all policies, or from none.
--
-- A quota is one number: the time at which it will be whole again, in µs. A request moves that time by what one request
-- is worth, and is rejected if the time would be further in the future than the whole quota is worth.
--
-- KEYS  1… one for each policy
-- ARGV  1 weight of the request  2… for each policy: what 1 is worth, µs; the quota
-- Returns {1 or 0 taken, then for each policy:
--          what is left of the quota, µs until it is whole,
--          µs until the request would have been taken: 0 for now, -1 for never}
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local weight = tonumber(ARGV[1])
local out, whole, taken = { 1 }, {}, true
for i = 1, #KEYS do
  local worth, quota = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local was = math.max(tonumber(redis.call('GET', KEYS[i])) or now, now)
  whole[i] = was + weight * worth
  local over = whole[i] - now - quota * worth
  if over > 0 then taken = false end
  out[3 * i - 1] = math.floor((now + quota * worth - was) / worth)
  out[3 * i] = was - now
  out[3 * i + 1] = weight > quota and -1 or math.max(over, 0)
end
if not taken then
  out[1] = 0
  return out
end
for i = 1, #KEYS do
  if weight > 0 then
    redis.call('SET', KEYS[i], string.format('%.0f', whole[i]), 'PX', math.ceil((whole[i] - now) / 1000))
  end
  out[3 * i - 1] = out[3 * i - 1] - weight
  out[3 * i] = whole[i] - now
end
return out
