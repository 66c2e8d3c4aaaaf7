-- flags: allow-oom
-- include: guard typed other_type
-- Note that all this node's log names up to a place is held by the primary's log up to another (plans/copies/marks.py).
-- Keys:      member hash, checkpoints list (newest first)
-- Arguments: epoch, checkpoint, how many to keep
-- Answers:   1, {'refused', epoch, state}

local member = read_member()
if not admits_catch_up(member) then return refusal(member) end
remove_other_type(KEYS[2], 'LRANGE', KEYS[2], 0, 0)
redis.call('LPUSH', KEYS[2], ARGV[2])
redis.call('LTRIM', KEYS[2], 0, tonumber(ARGV[3]) - 1)
return 1
