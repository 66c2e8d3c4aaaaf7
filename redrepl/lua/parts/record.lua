-- Part: reading, comparing and storing records. The header's layout stands in redrepl/values/record.py. Included part:
-- typed.
-- Stamps are compared as numbers, half by half: Lua's string order follows the server's locale.

local NO_DEADLINE = '000000000000'
local ABSENT = ''

local NO_CAUSAL_PART = '0000'

-- A header from its beginning to the bar, by its kind. The letter of a tombstone is a digit too.
local HEADER_OF_KIND = {[118] = '^[0-9a-f]*v[0-9a-f]*|', [100] = '^[0-9a-f]*|'}

-- 22 digits of the stamp, the kind, 12 digits of the deadline, 4 digits of the causal part's length, a bar.
-- The bar at byte 40 is no digit: matching goes no further, however long the value is.
local function is_header(stored)
  local pattern = HEADER_OF_KIND[string.byte(stored, 23)]
  if not pattern or string.byte(stored, 40) ~= 124 then return false end
  local _, last = string.find(stored, pattern)
  return last == 40
end

local function whole_header_bytes(header)
  return 40 + tonumber(string.sub(header, 36, 39), 16)
end

local function is_record(stored)
  if type(stored) ~= 'string' or not is_header(stored) then return false end
  return string.sub(stored, 36, 39) == NO_CAUSAL_PART or #stored >= whole_header_bytes(stored)
end

-- Whether a stamp is beyond any that a clock gives or a primary makes (MAX_MICROS in values/limits.py): somebody
-- else wrote it, and what is later could not be told exactly. A record that has it counts as nothing.
local function is_impossible(stamp)
  local first = string.byte(stamp, 1)
  return first > 49 or (first == 49 and string.byte(stamp, 2) == 102)
end

-- The header of the record under a key, ABSENT where nothing stands, nil where redrepl did not write what stands.
local function peek(key)
  local stored = typed_call('GETRANGE', key, '0', '39')
  if stored == '' then
    -- An empty string answers like nothing at all.
    if redis.call('EXISTS', key) == 1 then return nil end
    return ABSENT
  end
  if type(stored) ~= 'string' or not is_header(stored) then return nil end
  if is_impossible(stored) then return ABSENT end
  if string.sub(stored, 36, 39) == NO_CAUSAL_PART then return stored end
  if redis.call('STRLEN', key) < whole_header_bytes(stored) then return nil end
  return stored
end

local function micros_of(record)
  return tonumber(string.sub(record, 1, 14), 16)
end

local function writer_of(record)
  return tonumber(string.sub(record, 15, 22), 16)
end

-- 1 where the first record (or stamp) is later, 0 where both have the same stamp, -1 where it is earlier.
local function compare(first, second)
  if second == ABSENT then return 1 end
  local difference = micros_of(first) - micros_of(second)
  if difference == 0 then difference = writer_of(first) - writer_of(second) end
  if difference > 0 then return 1 elseif difference < 0 then return -1 end
  return 0
end

-- The stamp one later than the one that stands, with the id that only this node uses in this epoch.
local function restamp(current, restamp_writer)
  return string.format('%014x', micros_of(current) + 1) .. restamp_writer
end

local function is_past_deadline(record, now)
  local deadline = string.sub(record, 24, 35)
  return deadline ~= NO_DEADLINE and tonumber(deadline, 16) * 1000 <= now
end

local function is_live(record, now)
  return record ~= ABSENT and string.sub(record, 23, 23) == 'v' and not is_past_deadline(record, now)
end

-- When the server may drop a record (milliseconds, as text), nil for never. Native expiry only collects garbage: it comes
-- max_age later than the deadline, so that the stamp still stands against writes in flight.
local function native_expiry(record, max_age)
  local deadline = string.sub(record, 24, 35)
  if deadline == NO_DEADLINE then return nil end
  return string.format('%.0f', tonumber(deadline, 16) + max_age / 1000)
end

-- The error of the server where it does not store, nil where it does: the login may have no right to SET.
local function store(key, record, max_age)
  local expiry = native_expiry(record, max_age)
  local stored = expiry and redis.pcall('SET', key, record, 'PXAT', expiry) or redis.pcall('SET', key, record)
  if stored.err then return stored end
end

-- Take back the log entry of what could not be stored, and end with the error. A log must name nothing that was never
-- there: the other copies would take it for a record that is gone. Where that is not possible (the login may do no XDEL, or
-- no id is given, because part of it is stored) the error does not look like one of a server that did nothing.
local function take_back(id, failure)
  local removed = id and redis.pcall('XDEL', KEYS[2], id)
  if type(removed) ~= 'number' then failure = {err = 'ERR named in the change log, but not stored: ' .. failure.err} end
  error(failure)
end

-- The log comes first: appending can fail (the log's key may hold something else), and then nothing is stored.
local function log_and_store(key, record, max_age)
  local id = redis.call('XADD', KEYS[2], '*', key, string.sub(record, 1, 22))
  local failure = store(key, record, max_age)
  if failure then take_back(id, failure) end
end
