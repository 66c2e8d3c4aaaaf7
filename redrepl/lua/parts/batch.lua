-- Part: comparing and storing many records at once. Validate first, write last: an error keeps earlier writes.

-- What stands under KEYS[first..]: a list of records or '' for absent; second result: the name of a foreign value.
local function read_all(first)
  local names = {}
  for index = first, #KEYS do names[index - first + 1] = KEYS[index] end
  if #names == 0 then return {}, nil end
  local stored, missing = redis.call('MGET', unpack(names)), {}
  for index, name in ipairs(names) do
    if not stored[index] then
      stored[index] = ABSENT
      missing[#missing + 1] = name
    elseif not is_record(stored[index]) then
      return stored, name
    end
  end
  -- MGET answers nil for a hash or list too.
  if #missing > 0 and redis.call('EXISTS', unpack(missing)) > 0 then
    for _, name in ipairs(missing) do
      if redis.call('EXISTS', name) == 1 then return stored, name end
    end
  end
  return stored, nil
end

-- Append pairs of name and record to the log as one entry, and store them. The log comes first: it can fail (its key may
-- hold something else), and then nothing is stored; storing cannot fail after it.
local function store_all(pairs_to_store, max_age)
  if #pairs_to_store == 0 then return end
  local plain, entry, expiring = {}, {}, {}
  for index = 1, #pairs_to_store, 2 do
    local name, record = pairs_to_store[index], pairs_to_store[index + 1]
    if string.sub(record, 24, 35) == NO_DEADLINE then
      plain[#plain + 1] = name
      plain[#plain + 1] = record
    else
      expiring[#expiring + 1] = {name, record}
    end
    entry[#entry + 1] = name
    entry[#entry + 1] = string.sub(record, 1, 22)
  end
  redis.call('XADD', KEYS[2], '*', unpack(entry))
  if #plain > 0 then redis.call('MSET', unpack(plain)) end
  for _, pair in ipairs(expiring) do store(pair[1], pair[2], max_age) end
end
