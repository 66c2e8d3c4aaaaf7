-- include: guard record batch
-- The batch form of write.lua: each record is taken or not on its own; what is stored makes one log entry.
-- Keys:      member hash, change log, the users' keys (all different)
-- Arguments: epoch, a record for each key
-- Answers:   1                     every record stands with the stamp that was sent
--            {'some', index, verdict, stamp, ...}   all but these (counted from 0): 'ok', 'has', 'expired', 'skewed',
--                                  as in write.lua; the last two carry the node's time
--            {'foreign', key}      nothing was stored
--            {'refused', epoch, state}

local member = read_member()
if not admits(member) then return refusal(member) end
local stored, foreign = read_all(3)
if foreign then return {'foreign', foreign} end
local now, exceptions, taken = now_micros(), {'some'}, {}
local now_text = string.format('%.0f', now)

local function except(index, verdict, stamp)
  exceptions[#exceptions + 1] = index - 1
  exceptions[#exceptions + 1] = verdict
  exceptions[#exceptions + 1] = stamp
end

for index = 1, #stored do
  local record, micros = ARGV[index + 1], micros_of(ARGV[index + 1])
  local order = compare(record, stored[index])
  local take = order ~= 0
  if micros > now + member.max_skew then
    except(index, 'skewed', now_text)
    take = false
  elseif order < 0 and member.rule ~= 'decide' then
    except(index, 'has', string.sub(stored[index], 1, 22))
    take = false
  elseif order ~= 0 and member.rule == 'decide' and micros < now - member.max_age then
    except(index, 'expired', now_text)
    take = false
  elseif order < 0 then
    record = restamp(stored[index], member.restamp_writer) .. string.sub(record, 23)
    except(index, 'ok', string.sub(record, 1, 22))
  end
  if take then
    taken[#taken + 1] = KEYS[index + 2]
    taken[#taken + 1] = record
  end
end
store_all(taken, member.max_age)
if #exceptions == 1 then return 1 end
return exceptions
