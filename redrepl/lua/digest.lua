-- include: typed record
-- Digest records per range, until a number of bytes has been read: whoever asked asks again for the other keys. A sum
-- does not depend on the order in which keys come. Records past their deadline do not count: a node may have dropped them
-- or not. Nor do tombstones that are old enough to be purged: a node may have purged them or not. They are listed.
-- Keys:      the users' keys
-- Arguments: time in milliseconds, bytes of records after which to stop, microseconds before which a tombstone is old,
--            the number of the range of each key (equal numbers stand together)
-- Answers:   {keys looked at, {range, keys counted, sum below 2^52 for each run of equal numbers},
--            {number of the key from 0, stamp for each old tombstone}}; 48 more bits of a sum still are exact

local now, room, old_before = tonumber(ARGV[1]) * 1000, tonumber(ARGV[2]), tonumber(ARGV[3])
local looked_at, sums, old, range, count, sum = 0, {}, {}, nil, 0, 0

local function close_range()
  if range then
    sums[#sums + 1] = range
    sums[#sums + 1] = count
    sums[#sums + 1] = string.format('%.0f', sum)
  end
end

local function is_old_tombstone(record)
  return string.sub(record, 23, 23) == 'd' and micros_of(record) < old_before
end

for index, key in ipairs(KEYS) do
  if ARGV[index + 3] ~= range then
    close_range()
    range, count, sum = ARGV[index + 3], 0, 0
  end
  local stored = typed_call('GET', key)
  if stored == nil then stored = 'foreign' end
  local sound = stored and is_record(stored)
  if sound and is_past_deadline(stored, now) then
    -- read as nothing
  elseif sound and is_old_tombstone(stored) then
    old[#old + 1], old[#old + 2] = index - 1, string.sub(stored, 1, 22)
  elseif stored then
    count = count + 1
    sum = (sum + tonumber(string.sub(redis.sha1hex(key .. ' ' .. stored), 1, 12), 16)) % 4503599627370496
  end
  looked_at = index
  if stored then room = room - #stored end
  if room <= 0 then break end
end
close_range()
return {looked_at, sums, old}
