-- flags: allow-oom
-- include: guard typed record
-- Remove tombstones that every member has confirmed and that nothing needs any more (docs/protocol.md, section 6.1), and
-- note up to which stamp that was done: what is older and comes to a key without a record is turned down from then on.
-- Nothing is logged: on every node a purged key reads as before. Nothing younger than max_age by this node's own clock
-- goes, whatever the caller's clock says, and a limit beyond that, which a wrong clock left here, is put right.
-- Keys:      member hash, the users' keys
-- Arguments: epoch, microseconds before which tombstones may go, the stamp of the tombstone under each key
-- Answers:   {'ok', how many went}, {'refused', epoch, state}

local member = read_member()
if not admits_catch_up(member) then return refusal(member) end
local now, removed = now_micros(), 0
local before = math.min(tonumber(ARGV[2]), now - member.max_age)
local limit = math.max(before, purged_before(member, now))
if limit ~= member.noted_limit then redis.call('HSET', KEYS[1], 'purged_before', string.format('%.0f', limit)) end
for index = 2, #KEYS do
  local stamp, header = ARGV[index + 1], peek(KEYS[index])
  if header and string.sub(header, 1, 23) == stamp .. 'd' and micros_of(header) < before then
    removed = removed + redis.call('DEL', KEYS[index])
  end
end
return {'ok', removed}
