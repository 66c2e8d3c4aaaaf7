-- Part: remove what stands under a key if it is of another type than this command is for, which changes nothing. Included
-- part: typed.
local function remove_other_type(key, ...)
  if typed_call(...) == nil then redis.call('DEL', key) end
end
