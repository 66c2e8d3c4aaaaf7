-- Part: comparing and storing many records at once. Validate first, write last: an error keeps earlier writes.
-- Records of one batch have equal headers but for the rare exception, and so have the records that they replace. What
-- follows from a header is therefore worked out anew only where it differs from the one before.

local sub, call = string.sub, redis.call

-- Whether something stands under one of these names, none of which MGET found: a hash or list answers nil too.
local function first_that_exists(names)
  if #names == 0 or call('EXISTS', unpack(names)) == 0 then return nil end
  for _, name in ipairs(names) do
    if call('EXISTS', name) == 1 then return name end
  end
end

-- The headers under KEYS[first..], ABSENT for nothing; nil and the name where redrepl did not write what stands. Where
-- large records are expected, and as soon as there was one, no more are read whole.
local function read_standing(first)
  local headers, missing, sound = {}, {}, nil
  local from, last = first, #KEYS
  local has_large = expects_large(first, last)
  while from <= last and not has_large do
    local stored = call('MGET', unpack(KEYS, from, math.min(from + PIECE - 1, last)))
    for index = 1, #stored do
      local record, place = stored[index], from + index - 1
      if record then
        local header = sub(record, 1, 40)
        if header ~= sound then
          if not is_record(record) then return nil, KEYS[place] end
          -- A causal part could be cut off in one record and whole in the next.
          sound = sub(header, 36, 39) == NO_CAUSAL_PART and not is_impossible(header) and header or nil
          if not sound and is_impossible(header) then header = ABSENT end
        end
        headers[place - first + 1] = header
        has_large = has_large or #record > LARGE
      else
        headers[place - first + 1] = ABSENT
        missing[#missing + 1] = KEYS[place]
      end
    end
    from = from + #stored
  end
  local foreign = first_that_exists(missing)
  if foreign then return nil, foreign end
  for place = from, last do
    local header = peek(KEYS[place])
    if not header then return nil, KEYS[place] end
    headers[place - first + 1] = header
  end
  return headers
end

-- Go over the records in ARGV[first..] beside the headers that stand, and store those that are taken, as one log entry.
-- `judge(stamp, header)` is the acceptance rule: it returns the stamp to store the record with (nil: it is not stored),
-- and a verdict to report with a text. Returns how many were taken, and a flat list of index (from 0), verdict and text.
-- The log comes first: it can fail (its key may hold something else), and then nothing is stored. Unless
-- they may grow, it ends with an error where at full memory they would take more.
local function store_taken(standing, first_key, first_record, max_age, judge, may_grow)
  local entry, plain, expiring, reported, names, lengths = {}, {}, {}, {}, {}, {}
  local is_bounded = AT_FULL_MEMORY and not may_grow
  local last_header, last_standing, last_deadline, stamp, verdict, text, expiry, restamped
  for index = 1, #standing do
    local name, record, stands = KEYS[first_key + index - 1], ARGV[first_record + index - 1], standing[index]
    local header = sub(record, 1, 40)
    if header ~= last_header or stands ~= last_standing then
      local proposed, deadline = sub(header, 1, 22), sub(header, 24, 35)
      stamp, verdict, text = judge(proposed, stands)
      restamped = stamp ~= proposed
      if deadline ~= last_deadline then expiry = native_expiry(header, max_age) end
      last_header, last_standing, last_deadline = header, stands, deadline
    end
    if verdict then
      local count = #reported
      reported[count + 1], reported[count + 2], reported[count + 3] = index - 1, verdict, text
    end
    if stamp then
      if restamped then record = stamp .. sub(record, 23) end
      local count = #entry
      entry[count + 1], entry[count + 2] = name, stamp
      if is_bounded then names[#names + 1], lengths[#lengths + 1] = name, #record end
      if expiry then
        expiring[#expiring + 1] = {name, record, expiry}
      else
        count = #plain
        plain[count + 1], plain[count + 2] = name, record
      end
    end
  end
  if is_bounded and lacks_memory(names, lengths) then error({err = OUT_OF_MEMORY}) end
  local id = ''
  if #entry > 0 then
    local failure
    id = call('XADD', KEYS[2], '*', unpack(entry))
    for _, each in ipairs(expiring) do failure = failure or redis.pcall('SET', each[1], each[2], 'PXAT', each[3]).err end
    if failure then take_back(id, {err = failure}) end
    if #plain > 0 then failure = redis.pcall('MSET', unpack(plain)).err end
    if failure then take_back(#expiring == 0 and id, {err = failure}) end
  end
  return #entry / 2, reported, id
end
