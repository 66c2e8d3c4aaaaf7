-- flags: allow-oom
-- include: guard typed other_type
-- Note how far a sweep over all keys is, or how it ended: also at full memory, because sweeps remove tombstones.
-- Keys:      member hash, sweep hash
-- Arguments: epoch, field and text to note, field that goes ('' for none)
-- Answers:   1, {'refused', epoch, state}

local member = read_member()
if not admits_catch_up(member) then return refusal(member) end
remove_other_type(KEYS[2], 'HGET', KEYS[2], '')
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
if ARGV[4] ~= '' then redis.call('HDEL', KEYS[2], ARGV[4]) end
return 1
