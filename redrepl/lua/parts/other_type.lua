-- Part: remove what stands under a key if it is of another type than this command is for, which changes nothing. Any other
-- error, of a login that lacks a right above all, says nothing of the key.
local function remove_other_type(key, command, ...)
  local answer = redis.pcall(command, key, ...)
  local why = type(answer) == 'table' and answer.err
  if why and string.find(tostring(why), 'WRONGTYPE', 1, true) then redis.call('DEL', key) end
end
