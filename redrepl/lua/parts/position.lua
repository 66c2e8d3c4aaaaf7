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

-- Incarnation and stream id of a mark, nil where this is none.
local function parse_mark(text)
  return string.match(text, '^(%S+) (%d+%-%d+) ')
end

-- The same of the mark that stands there; nil for none, and for what somebody else wrote there: the next one replaces it.
local function known_mark(marks, field)
  return parse_mark(noted_position(marks, field))
end

-- Whether a mark stands before one that stood there earlier ('' for none). One of the log's new incarnation never does.
local function has_gone_back(marks, field, earlier, incarnation)
  local earlier_incarnation, earlier_id = parse_mark(earlier)
  if not earlier_id then return false end
  local known_incarnation, known_id = known_mark(marks, field)
  if known_incarnation == earlier_incarnation then return is_later_id(earlier_id, known_id) end
  return known_incarnation ~= incarnation
end
