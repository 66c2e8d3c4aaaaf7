-- Part: what may be stored at full memory. A script whose first line names another for full memory exists twice, and
-- AT_FULL_MEMORY tells which of the two runs: the server does not stop the second one itself (docs/protocol.md, section 3).

local OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'"

-- Whether the memory is used up, as the server counts it.
local function is_full()
  local information = redis.pcall('INFO', 'memory')
  if type(information) ~= 'string' then return false end
  local used, most = string.match(information, '\nused_memory:(%d+)'), string.match(information, '\nmaxmemory:(%d+)')
  return used ~= nil and most ~= nil and tonumber(most) > 0 and tonumber(used) > tonumber(most)
end

local function length_before(key)
  local length = redis.pcall('STRLEN', key)
  return type(length) == 'number' and length or 0
end

-- Asking the server costs as much as so many lengths.
local FEW_KEYS = 32

-- Whether to refuse records of these lengths under these keys: together they would take more memory than what is stored
-- there, and there is none.
local function lacks_memory(keys, lengths)
  if not AT_FULL_MEMORY or (#keys > FEW_KEYS and not is_full()) then return false end
  local growth = 0
  for index, key in ipairs(keys) do growth = growth + lengths[index] - length_before(key) end
  return growth > 0 and is_full()
end
