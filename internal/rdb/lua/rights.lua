-- Lists the commands of the scripts that this user is not allowed to call.
--
-- KEYS  1 a key like those of the scripts
-- ARGV  1 a channel like those of the scripts  2… the commands
-- Returns their names; an empty list on Redis before version 7 and on compatible servers, which cannot check
local may = redis.acl_check_cmd
local barred = {}
for i = 2, may and #ARGV or 0 do
  local command = ARGV[i]
  local key = command == 'PUBLISH' and ARGV[1] or KEYS[1]
  local known, yes = pcall(may, command, key, key)
  if known and not yes then barred[#barred + 1] = command end
end
return barred
