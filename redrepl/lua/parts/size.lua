-- Part: what is done about large records, of which a node may hold many. Small ones are read fastest by MGET of several.

-- Names in one MGET: at most so many large records are read together before it is known that some here are large. Longer
-- pieces gain next to nothing.
local PIECE = 16

-- Bytes from which on a record is large: a command of its own for its length or header costs little beside reading it.
local LARGE = 4096

-- The length of the string under a key, 0 for nothing and for what is no string.
local function length_of(key)
  local length = redis.pcall('STRLEN', key)
  return type(length) == 'number' and length or 0
end

-- Whether to expect large records under KEYS[first..last]: the first or the last one is.
local function expects_large(first, last)
  return first <= last and (length_of(KEYS[first]) > LARGE or length_of(KEYS[last]) > LARGE)
end
