-- include: guard record
-- Remove tombstones that every member has confirmed and that nothing needs any more (docs/protocol.md, section 6.1), and
-- note up to which stamp that was done: what is older and comes to a key without a record is turned down from then on.
-- Nothing is logged: on every node a purged key reads as before.
-- Keys:      member hash, the users' keys
-- Arguments: epoch, microseconds before which tombstones may go, the stamp of the tombstone under each key
-- Answers:   {'ok', how many went}, {'refused', epoch, state}

local member = read_member()
if not admits_catch_up(member) then return refusal(member) end
local before, removed = tonumber(ARGV[2]), 0
if before > member.purged_before then redis.call('HSET', KEYS[1], 'purged_before', ARGV[2]) end
for index = 2, #KEYS do
  local stamp, header = ARGV[index + 1], peek(KEYS[index])
  if header and string.sub(header, 1, 23) == stamp .. 'd' and micros_of(header) < before then
    removed = removed + redis.call('DEL', KEYS[index])
  end
end
return {'ok', removed}
