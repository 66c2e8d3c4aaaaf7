-- flags: allow-oom
-- include: guard typed position log
-- Note on the source how far its log has been confirmed on another node. Cursors move forward only, unless forced.
-- A cursor that counts more entries than the log has had says that the log lost a part. So none is noted for a log that
-- was begun anew since the caller read it; nor, on a member that is being brought up, a place that it lost before.
-- Keys:      member hash, change log, cursors hash
-- Arguments: epoch, field of the target in the cursors hash, stream id, entry count up to it, '1' to move back too,
--            incarnation of the log that the place is in ('' for the beginning of any log)
-- Answers:   1, 0 where a later cursor stands, or the place is not in this log, {'refused', epoch, state}

local member = read_member()
if not admits_catch_up(member) then return refusal(member) end
if is_another_log(ARGV[6]) then return 0 end
if member.state == 'syncing' and tonumber(ARGV[4]) > entries_added() then return 0 end
local known_id = string.match(noted_position(KEYS[3], ARGV[2]), '^(%d+%-%d+) ')
if known_id and is_later_id(known_id, ARGV[3]) and ARGV[5] ~= '1' then return 0 end
local now = string.format('%.0f', now_micros() / 1000)
redis.call('HSET', KEYS[3], ARGV[2], ARGV[3] .. ' ' .. ARGV[4] .. ' ' .. now)
return 1
