-- Part: what one operation makes of the record that stands, and whether an expectation holds of it. Changes nothing.
-- Included parts: guard, record.
--
-- Operations, a branch of `outcome_of` each; what else is to be known of them is in the table in values/operation.py:
--   'set'       operand: payload. Whatever stands.
--   'delete'    leaves a tombstone, whatever stands; deadline and operand do not matter.
--   'add'       operand: payload. Only where the key reads as absent.
--   'compare'   operand: expected stamp and then the payload. Only where the record with that stamp stands.
--   'expire'    sets the deadline (zeros: none) of a live value; the operand is empty.
--   'increment' operand: whole number to add; an absent key counts as 0; a deadline that stands stays.
--   'get_and_set' operand: payload. Whatever stands; what stood is answered.
--   'append'    operand: bytes to put behind the payload; an absent key counts as empty; a deadline that stands stays.

-- Beyond 2^53 Lua's numbers are not exact.
local LARGEST = 9007199254740992
local MOST_BYTES = 67108864

-- What is answered of an operation where the new stamp is not enough: 'record', the whole record that it made; 'before',
-- the stamp, and then the record that stood where the key read as present. These need what stands whole.
local ANSWER = {increment = 'record', append = 'record', expire = 'record', get_and_set = 'before'}

-- The acceptance rule for operations, which are decided here: why this node does not carry out one
-- with this stamp, as its answer; nil where it does.
local function turn_down(member, now, proposed, stored)
  local micros = micros_of(proposed)
  if micros > now + member.max_skew then return {'skewed', string.format('%.0f', now)} end
  if micros < now - member.max_age then return expired(now) end
  if stored == ABSENT and is_in_doubt(member, now) then return refusal_in_doubt(member) end
end

local function payload_of(record)
  return string.sub(record, whole_header_bytes(record) + 1)
end

-- Whether the record with this stamp stands; '' expects a key that reads as absent.
local function is_as_expected(stored, expected, now)
  if expected == '' then return not is_live(stored, now) end
  return string.sub(stored, 1, 22) == expected and not is_past_deadline(stored, now)
end

-- The sum as text; nil and the reason where it cannot be formed exactly.
local function add_exactly(held, amount)
  if not string.find(held, '^%-?%d+$') or #held > 17 then return nil, 'the value is not a whole number' end
  local number = tonumber(held)
  local sum = number + tonumber(amount)
  if math.abs(number) >= LARGEST or math.abs(sum) >= LARGEST then return nil, 'the sum leaves the range of 2^53' end
  return string.format('%.0f', sum), nil
end

-- Kind, deadline and payload of the record that the operation makes of what stands (whole where ANSWER has it, else its
-- header is enough); nil, verdict and detail where it makes none.
local function outcome_of(operation, stored, deadline, operand, now)
  local live, current = is_live(stored, now), string.sub(stored, 1, 22)
  if operation == 'set' then return 'v', deadline, operand end
  if operation == 'get_and_set' then return 'v', deadline, operand end
  if operation == 'delete' then return 'd', NO_DEADLINE, '' end
  if operation == 'add' then
    if live then return nil, 'unmet', current end
    return 'v', deadline, operand
  elseif operation == 'compare' then
    if not is_as_expected(stored, string.sub(operand, 1, 22), now) then return nil, 'unmet', current end
    return 'v', deadline, string.sub(operand, 23)
  elseif operation == 'expire' then
    if not live then return nil, 'unmet', current end
    return 'v', deadline, payload_of(stored)
  elseif operation == 'increment' then
    local sum, why = add_exactly(live and payload_of(stored) or '0', operand)
    if not sum then return nil, 'unfit', why end
    return 'v', live and string.sub(stored, 24, 35) or deadline, sum
  elseif operation == 'append' then
    local held = live and payload_of(stored) or ''
    if #held + #operand > MOST_BYTES then return nil, 'unfit', 'the value would be longer than 64 MiB' end
    return 'v', live and string.sub(stored, 24, 35) or deadline, held .. operand
  end
  return nil, 'unfit', 'unknown operation ' .. operation
end

-- 'ok' and the record to store, later than what stands; 'unmet' and the stamp that stands ('' for nothing); 'unfit'
-- and why.
local function carry_out(operation, stored, stamp, deadline, operand, now, restamp_writer)
  local kind, new_deadline, payload = outcome_of(operation, stored, deadline, operand, now)
  if not kind then return new_deadline, payload end
  if compare(stamp, stored) <= 0 then stamp = restamp(stored, restamp_writer) end
  return 'ok', stamp .. kind .. new_deadline .. NO_CAUSAL_PART .. '|' .. payload
end

-- The detail that is answered of an operation that made a record of what stood.
local function told_of(operation, made, stood, now)
  if ANSWER[operation] == 'record' then return made end
  local stamp = string.sub(made, 1, 22)
  if ANSWER[operation] == 'before' and is_live(stood, now) then return stamp .. stood end
  return stamp
end
