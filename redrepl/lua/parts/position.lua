-- Part: comparing positions in a change log. A position is a stream id, '<milliseconds>-<sequence>'.

local function is_later_id(first, second)
  local first_time, first_sequence = string.match(first, '^(%d+)-(%d+)$')
  local second_time, second_sequence = string.match(second, '^(%d+)-(%d+)$')
  if tonumber(first_time) ~= tonumber(second_time) then return tonumber(first_time) > tonumber(second_time) end
  return tonumber(first_sequence) > tonumber(second_sequence)
end
