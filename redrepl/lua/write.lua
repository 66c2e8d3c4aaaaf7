-- include: guard record
-- Store one record if the node's rule takes it, and append it to the change log, in one step.
-- The member's rule says which role the node plays: 'decide' (the one primary: restamps, refuses what is too old),
-- 'follow' (a replica) or 'merge' (one of several primaries); the last two keep the later stamp. The same bytes go to
-- every node.
-- Keys:      member hash, change log, the user's key
-- Arguments: epoch, record
-- Answers:   1                     the record stands with the stamp that was sent
--            {'ok', stamp}         the primary stored it under this later stamp
--            {'has', stamp}        a record with this later stamp stands
--            {'expired', now}      older than max_age by this node's clock (microseconds); nothing stored
--            {'skewed', now}       further ahead of this node's clock than max_skew; nothing stored
--            {'foreign', key}      redrepl did not write what stands there; nothing stored
--            {'refused', epoch, state}

local member = read_member()
if not admits(member) then return refusal(member) end
local key, record = KEYS[3], ARGV[2]
local stored = peek(key)
if not stored then return {'foreign', key} end
local now, micros = now_micros(), micros_of(record)
if micros > now + member.max_skew then return {'skewed', string.format('%.0f', now)} end
local order = compare(record, stored)
if order == 0 then return 1 end
if member.rule ~= 'decide' then
  if order < 0 then return {'has', string.sub(stored, 1, 22)} end
elseif micros < now - member.max_age then
  return {'expired', string.format('%.0f', now)}
elseif order < 0 then
  record = restamp(stored, member.restamp_writer) .. string.sub(record, 23)
end
log_change(key, record)
store(key, record, member.max_age)
if order > 0 then return 1 end
return {'ok', string.sub(record, 1, 22)}
