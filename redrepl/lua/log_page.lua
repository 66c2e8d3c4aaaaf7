-- include: typed position log
-- Read entries of the change log after a place, unless the log was cut beyond it: then entries are missing in between,
-- and whoever went on from there would never know. Nor is a place of an earlier log one of this log.
-- Keys:      member hash, change log
-- Arguments: stream id after which to read, most entries to answer, incarnation of the log that the place is in
-- Answers:   {'ok', entries as XRANGE gives them, the log's last id, entries that it has ever had},
--            {'cut', stream id from which on the log is complete}, {'replaced'} where the log is another one

if is_another_log(ARGV[3]) then return {'replaced'} end
local floor = redis.call('HGET', KEYS[1], 'log_floor')
if floor and is_later_id(floor, ARGV[1]) then return {'cut', floor} end
local entries = redis.call('XRANGE', KEYS[2], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
local added, last_id = log_end()
return {'ok', entries, last_id, added}
