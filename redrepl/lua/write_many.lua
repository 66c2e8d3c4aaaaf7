-- at full memory: write_many_oom
-- include: guard typed record acceptance size growth batch
-- The batch form of write.lua: each record is taken or not on its own; what is stored makes one log entry.
-- At full memory the script `write_many_oom` takes records that together take no more of it.
-- Keys:      member hash, change log, the users' keys (all different)
-- Arguments: epoch, a record for each key, and 'decided' or 'by ' and a name as in write.lua, for all of them
-- Answers:   1                     every record stands with the stamp that was sent
--            {'some', index, verdict, stamp, ...}   all but these (counted from 0): 'ok', 'has', 'expired', 'skewed',
--                                  as in write.lua; the last two carry the node's time
--            {'foreign', key}      nothing was stored
--            {'refused', epoch, state}

local member = read_member()
if not admits(member) then return refusal(member) end
if is_taken_for_primary(member, ARGV[#ARGV]) then return refusal(member) end
local standing, foreign = read_standing(3)
if foreign then return {'foreign', foreign} end
local now, said = now_micros(), ARGV[#standing + 2]

local function judge(proposed, stored)
  return accept(member, now, proposed, stored, said)
end

local _, exceptions = store_taken(standing, 3, 2, member.max_age, judge)
if #exceptions == 0 then return 1 end
return {'some', unpack(exceptions)}
