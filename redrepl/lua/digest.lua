-- include: record
-- Digest records per range, until a number of bytes has been read: whoever asked asks again for the other keys. A sum
-- does not depend on the order in which keys come. Records past their deadline do not count: a node may have dropped them
-- or not.
-- Keys:      the users' keys
-- Arguments: time in milliseconds, bytes of records after which to stop,
--            the number of the range of each key (equal numbers stand together)
-- Answers:   {keys looked at, then range, keys counted, sum below 2^52 for each run of equal numbers}; 48 more bits still
--            are exact

local now, room, answer, range, count, sum = tonumber(ARGV[1]) * 1000, tonumber(ARGV[2]), {0}, nil, 0, 0

local function close_range()
  if range then
    answer[#answer + 1] = range
    answer[#answer + 1] = count
    answer[#answer + 1] = string.format('%.0f', sum)
  end
end

for index, key in ipairs(KEYS) do
  if ARGV[index + 2] ~= range then
    close_range()
    range, count, sum = ARGV[index + 2], 0, 0
  end
  local stored = redis.pcall('GET', key)
  if type(stored) == 'table' then stored = 'foreign' end
  if stored and not (is_record(stored) and is_past_deadline(stored, now)) then
    count = count + 1
    sum = (sum + tonumber(string.sub(redis.sha1hex(key .. ' ' .. stored), 1, 12), 16)) % 4503599627370496
  end
  answer[1] = index
  if stored then room = room - #stored end
  if room <= 0 then break end
end
close_range()
return answer
