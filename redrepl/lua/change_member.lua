-- flags: allow-oom
-- include: may typed other_type
-- Change a member's fields if its epoch, state and run id are still those the caller saw. A topology is replaced by none
-- of an earlier epoch, unless what stands there is later than the epoch that the node works in: no node is told that. With
-- it go the cursors and marks of servers that it does not name, and whatever stands there that is no hash. A login that
-- may not do all of it does nothing: a node that is stopped and told no more stops the writes of a cluster.
-- Keys:      member hash, topology hash, cursors hash, marks hash, guard
-- Arguments: expected epoch, expected state, expected run id, topology (JSON, '' leaves it), then field and value pairs;
--            of a field with '=' before its name that value is expected
-- Answers:   1, {'changed', epoch, state}

local function epoch_of(topology)
  return tonumber(string.match(topology or '', '"epoch":(%d+)') or 0)
end

local function forget_others(positions, topology)
  for _, field in ipairs(redis.call('HKEYS', positions)) do
    local identity = string.match(field, '@(.+)$')
    if identity and not string.find(topology, '"identity":"' .. identity .. '"', 1, true) then
      redis.call('HDEL', positions, field)
    end
  end
end

for _, command in ipairs({'HSET', 'HGET', 'HDEL', 'HKEYS', 'SET', 'DEL'}) do
  if not may(command, KEYS[1], KEYS[1], KEYS[1]) then
    return redis.error_reply('NOPERM this user has no permissions to run the ' .. string.lower(command) .. ' command')
  end
end
local found = redis.call('HMGET', KEYS[1], 'epoch', 'state', 'run_id')
if found[1] ~= ARGV[1] or found[2] ~= ARGV[2] or found[3] ~= ARGV[3] then
  return {'changed', found[1] or '', found[2] or ''}
end
local function expected_field(index)
  return string.match(ARGV[index], '^=(.+)$')
end

for index = 5, #ARGV, 2 do
  local field = expected_field(index)
  if field and (redis.call('HGET', KEYS[1], field) or '') ~= ARGV[index + 1] then
    return {'changed', found[1] or '', found[2] or ''}
  end
end
for index = 5, #ARGV, 2 do
  if not expected_field(index) then redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 1]) end
end
local now = redis.call('HMGET', KEYS[1], 'epoch', 'state')
redis.call('SET', KEYS[5], (now[1] or '') .. ' ' .. (now[2] or ''))
if ARGV[4] == '' then return 1 end
for index = 2, 4 do remove_other_type(KEYS[index], 'HGET', KEYS[index], '') end
local stands = epoch_of(redis.call('HGET', KEYS[2], 'topology'))
if stands > tonumber(now[1]) then stands = 0 end
if epoch_of(ARGV[4]) >= stands then
  redis.call('HSET', KEYS[2], 'topology', ARGV[4])
  forget_others(KEYS[3], ARGV[4])
  forget_others(KEYS[4], ARGV[4])
end
return 1
