-- flags: allow-oom
-- include: other_type
-- Make this node a member of a cluster. Refused where it is one already, or where another cluster lives. A list of
-- clusters that is no hash counts as empty: it names no cluster, and whoever may write on the server can have put it there.
-- Keys:      member hash, topology hash, clusters hash, guard
-- Arguments: cluster, node, epoch, topology (JSON), then pairs of member field and value
-- Answers:   1, {'member', cluster, node, epoch, topology} where it is a member already, {'occupied', cluster}

local cluster, node, epoch, topology = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
remove_other_type(KEYS[3], 'HGET', '')
for _, name in ipairs(redis.call('HKEYS', KEYS[3])) do
  if name ~= cluster then return {'occupied', name} end
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  local found = redis.call('HMGET', KEYS[1], 'cluster', 'node', 'epoch')
  return {'member', found[1] or '', found[2] or '', found[3] or '', redis.call('HGET', KEYS[2], 'topology') or ''}
end
redis.call('HSET', KEYS[1], 'cluster', cluster, 'node', node, 'epoch', epoch)
for index = 5, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 1]) end
local now = redis.call('HMGET', KEYS[1], 'epoch', 'state')
redis.call('SET', KEYS[4], (now[1] or '') .. ' ' .. (now[2] or ''))
redis.call('HSET', KEYS[2], 'topology', topology)
redis.call('HSET', KEYS[3], cluster, node)
return 1
