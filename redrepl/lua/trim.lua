-- flags: allow-oom
-- include: guard position
-- Cut the change log. A member whose mark lies before the floor needs a full sync.
-- Keys:      member hash, change log
-- Arguments: epoch, stream id of the first entry to keep, most entries to keep whatever that costs
-- Answers:   {'ok', entries removed}, {'refused', epoch, state}

local member = read_member()
if not admits_catch_up(member) then return refusal(member) end
local removed = 0

local function raise_floor(id)
  local floor = redis.call('HGET', KEYS[1], 'log_floor')
  if floor and not is_later_id(id, floor) then return false end
  redis.call('HSET', KEYS[1], 'log_floor', id)
  return true
end

if raise_floor(ARGV[2]) then removed = redis.call('XTRIM', KEYS[2], 'MINID', '~', ARGV[2]) end
if redis.call('XLEN', KEYS[2]) > tonumber(ARGV[3]) then
  removed = removed + redis.call('XTRIM', KEYS[2], 'MAXLEN', '~', ARGV[3])
  local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
  if first[1] then raise_floor(first[1][1]) end
end
return {'ok', removed}
