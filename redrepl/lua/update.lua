-- include: guard record
-- Change a key depending on what it holds, on a node that takes writes for clients (never on a replica).
-- Keys:      member hash, change log, the user's key
-- Arguments: epoch, operation, proposed stamp, deadline (12 hexadecimal digits), operand
--            'add'       operand: payload. Only where the key reads as absent.
--            'compare'   operand: expected stamp and then the payload. Only where the record with that stamp stands.
--            'increment' operand: whole number to add; an absent key counts as 0; a deadline that stands stays.
--            'expire'    sets the deadline (zeros: none) of a live value; the operand is empty.
-- Answers:   {'ok', record}        stored, to be sent to the other copies as it is
--            {'unmet', stamp}      the condition does not hold; '' where nothing stands
--            {'unfit', why}        the value cannot be incremented
--            {'expired', now}, {'skewed', now}, {'foreign', key}, {'refused', epoch, state} as in write.lua

local LARGEST = 9007199254740992

local member = read_member()
if not admits(member) or member.rule == 'follow' then return refusal(member) end
local key, operation, stamp, deadline, operand = KEYS[3], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local stored = redis.pcall('GET', key)
if stored == false then
  stored = ABSENT
elseif not is_record(stored) then
  return {'foreign', key}
end
local now, micros = now_micros(), micros_of(stamp)
if micros > now + member.max_skew then return {'skewed', string.format('%.0f', now)} end
if micros < now - member.max_age then return {'expired', string.format('%.0f', now)} end
local live = is_live(stored, now)
local current = string.sub(stored, 1, 22)
local payload_start = 41
if live then payload_start = 41 + tonumber(string.sub(stored, 36, 39), 16) end

local payload
if operation == 'add' then
  if live then return {'unmet', current} end
  payload = operand
elseif operation == 'compare' then
  if current ~= string.sub(operand, 1, 22) or is_past_deadline(stored, now) then return {'unmet', current} end
  payload = string.sub(operand, 23)
elseif operation == 'expire' then
  if not live then return {'unmet', current} end
  payload = string.sub(stored, payload_start)
elseif operation == 'increment' then
  local held = '0'
  if live then
    held = string.sub(stored, payload_start)
    deadline = string.sub(stored, 24, 35)
  end
  if not string.find(held, '^%-?%d+$') or #held > 17 then return {'unfit', 'the value is not a whole number'} end
  -- Beyond 2^53 Lua's numbers are not exact.
  local number = tonumber(held)
  local sum = number + tonumber(operand)
  if math.abs(number) >= LARGEST or math.abs(sum) >= LARGEST then return {'unfit', 'the sum leaves the range of 2^53'} end
  payload = string.format('%.0f', sum)
else
  return {'unfit', 'unknown operation ' .. operation}
end

if compare(stamp, stored) <= 0 then stamp = restamp(stored, member.restamp_writer) end
local record = stamp .. 'v' .. deadline .. '0000|' .. payload
log_change(key, record)
store(key, record, member.max_age)
return {'ok', record}
