-- Part: comparing positions in a change log. A position is a stream id, '<milliseconds>-<sequence>'. Included part: typed.

local function is_later_id(first, second)
  local first_time, first_sequence = string.match(first, '^(%d+)-(%d+)$')
  local second_time, second_sequence = string.match(second, '^(%d+)-(%d+)$')
  if tonumber(first_time) ~= tonumber(second_time) then return tonumber(first_time) > tonumber(second_time) end
  return tonumber(first_sequence) > tonumber(second_sequence)
end

-- What a hash of positions notes under a field, '' for nothing. Where something else than a hash was put there, nothing is
-- noted, and it is removed: else no position could be noted any more.
local function noted_position(key, field)
  local found = typed_call('HGET', key, field)
  if found == nil then redis.call('DEL', key) end
  return found or ''
end

-- Incarnation and stream id of a mark, nil for none, and for what somebody else wrote there: the next one replaces it.
local function known_mark(marks, field)
  return string.match(noted_position(marks, field), '^(%S+) (%d+%-%d+) ')
end

-- Whether an entry that was in this node's log is gone, with whatever came after it: the server forgot. What was cut lies
-- before the floor.
local function has_lost_entry(member, log, id)
  if redis.call('XRANGE', log, id, id)[1] then return false end
  return not is_later_id(redis.call('HGET', member, 'log_floor') or '0-0', id)
end
