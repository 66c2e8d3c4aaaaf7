-- flags: allow-oom
-- include: guard typed position
-- Note on the source how far its log has been confirmed on another node. Cursors move forward only, unless forced.
-- Keys:      member hash, cursors hash
-- Arguments: epoch, field of the target in the cursors hash, stream id, entry count up to it, '1' to move back too
-- Answers:   1, 0 where a later cursor stands, {'refused', epoch, state}

local member = read_member()
if not admits_catch_up(member) then return refusal(member) end
local known_id = string.match(noted_position(KEYS[2], ARGV[2]), '^(%d+%-%d+) ')
if known_id and is_later_id(known_id, ARGV[3]) and ARGV[5] ~= '1' then return 0 end
local now = string.format('%.0f', now_micros() / 1000)
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3] .. ' ' .. ARGV[4] .. ' ' .. now)
return 1
