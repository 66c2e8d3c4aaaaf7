-- include: record
-- Digest records per range. A sum does not depend on the order in which keys come. Records past their deadline do not
-- count: a node may have dropped them or not.
-- Keys:      the users' keys
-- Arguments: time in milliseconds, the number of the range of each key (equal numbers stand together)
-- Answers:   {range, keys counted, sum below 2^52, ...} for each run of equal numbers; 48 more bits still are exact

local now, answer, range, count, sum = tonumber(ARGV[1]) * 1000, {}, nil, 0, 0

local function close_range()
  if range then
    answer[#answer + 1] = range
    answer[#answer + 1] = count
    answer[#answer + 1] = string.format('%.0f', sum)
  end
end

for index, key in ipairs(KEYS) do
  if ARGV[index + 1] ~= range then
    close_range()
    range, count, sum = ARGV[index + 1], 0, 0
  end
  local stored = redis.pcall('GET', key)
  if type(stored) == 'table' then stored = 'foreign' end
  if stored and not (is_record(stored) and is_past_deadline(stored, now)) then
    count = count + 1
    sum = (sum + tonumber(string.sub(redis.sha1hex(key .. ' ' .. stored), 1, 12), 16)) % 4503599627370496
  end
end
close_range()
return answer
