-- include: typed position
-- Read entries of the change log after a place, unless the log was cut beyond it: then entries are missing in between,
-- and whoever went on from there would never know.
-- Keys:      member hash, change log
-- Arguments: stream id after which to read, most entries to answer
-- Answers:   {'ok', entries as XRANGE gives them, the log's last id, entries that it has ever had},
--            {'cut', stream id from which on the log is complete}

local floor = redis.call('HGET', KEYS[1], 'log_floor')
if floor and is_later_id(floor, ARGV[1]) then return {'cut', floor} end
local entries = redis.call('XRANGE', KEYS[2], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
local fields = {['last-generated-id'] = '0-0', ['entries-added'] = 0}
if redis.call('EXISTS', KEYS[2]) == 1 then
  local information = redis.call('XINFO', 'STREAM', KEYS[2])
  for index = 1, #information, 2 do fields[information[index]] = information[index + 1] end
end
return {'ok', entries, fields['last-generated-id'], fields['entries-added']}
