-- Part: commands on a key that may be of another type than they are for. Any other error ends the script with it: that a
-- login lacks a right, above all, says nothing of what is stored there.

-- The answer, nil where the key is of another type.
local function typed_call(...)
  local answer = redis.pcall(...)
  local why = type(answer) == 'table' and answer.err
  if not why then return answer end
  if string.find(tostring(why), 'WRONGTYPE', 1, true) then return nil end
  error(answer)
end
