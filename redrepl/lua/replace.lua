-- include: guard record
-- Replace exactly one record by another, or remove it, although the other may be earlier: for records that the primary
-- never took and no longer can (protocol, section 3).
-- Keys:      member hash, change log, the user's key
-- Arguments: epoch, stamp that must stand there ('' for nothing), record to store ('' to remove)
-- Answers:   1, {'changed', stamp}, {'foreign', key}, {'refused', epoch, state}

local member = read_member()
if not admits_catch_up(member) then return refusal(member) end
local stored = peek(KEYS[3])
if not stored then return {'foreign', KEYS[3]} end
local current = string.sub(stored, 1, 22)
if current ~= ARGV[2] then return {'changed', current} end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[3])
else
  log_change(KEYS[3], ARGV[3])
  store(KEYS[3], ARGV[3], member.max_age)
end
return 1
