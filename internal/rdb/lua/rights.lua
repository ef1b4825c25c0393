-- Tells which commands of the scripts this user may not call.
--
-- KEYS  1 a key as the others are
-- ARGV  1 a channel as the others are  2… the commands
-- Returns their names; none before Redis 7, and on a server of another make, which cannot
-- tell
local may = redis.acl_check_cmd
local barred = {}
for i = 2, may and #ARGV or 0 do
  local command = ARGV[i]
  local key = command == 'PUBLISH' and ARGV[1] or KEYS[1]
  local known, yes = pcall(may, command, key, key)
  if known and not yes then barred[#barred + 1] = command end
end
return barred
