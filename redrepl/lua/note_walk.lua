-- flags: allow-oom
-- include: guard
-- Note how far a walk over a source's keys has come on the target that it fills. It stands beside what the walk brought,
-- and rolls back together with that.
-- Keys:      member hash
-- Arguments: epoch, field, text ('' where there is nothing to go on with)
-- Answers:   1, {'refused', epoch, state}

local member = read_member()
if not admits_catch_up(member) then return refusal(member) end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[2]) else redis.call('HSET', KEYS[1], ARGV[2], ARGV[3]) end
return 1
