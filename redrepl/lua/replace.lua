-- flags: allow-oom
-- include: guard typed record other_type
-- Replace exactly one record by another, although the other may be earlier: for records that the primary never took and
-- no longer can (docs/protocol.md, section 3). What goes is kept in the discarded log, for the operator.
-- Keys:      member hash, change log, discarded log (stream), the user's key
-- Arguments: epoch, stamp that must stand there ('' for nothing), record to store, why the one that stands goes, most
--            entries of the discarded log, and how many bytes as many records as this one may have in it
-- Answers:   1, {'changed', stamp}, {'foreign', key}, {'refused', epoch, state}

local member = read_member()
if not admits_catch_up(member) then return refusal(member) end
local name = KEYS[4]
local stored = peek(name)
if not stored then return {'foreign', name} end
local current = string.sub(stored, 1, 22)
if current ~= ARGV[2] then return {'changed', current} end
if current ~= '' then
  local lost = redis.call('GET', name)
  local most = math.max(1, math.min(tonumber(ARGV[5]), math.floor(tonumber(ARGV[6]) / #lost)))
  remove_other_type(KEYS[3], 'XLEN', KEYS[3])
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', most, '*', 'key', name, 'record', lost,
             'replaced_by', string.sub(ARGV[3], 1, 22), 'epoch', member.epoch, 'why', ARGV[4])
end
log_and_store(name, ARGV[3], member.max_age)
return 1
