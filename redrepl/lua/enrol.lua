-- flags: allow-oom
-- include: may
-- Make this node a member of a cluster. Refused where it is one already, or where another cluster lives. All clusters
-- share the list of clusters, so logins may only add to it (redrepl/values/permissions.py), and those of workers not even
-- that: a server that came back empty is listed again by the next `init`. A list that is no hash counts as empty: it names
-- no cluster, and whoever may write on the server can have put it there.
-- Keys:      member hash, topology hash, clusters hash, guard
-- Arguments: cluster, node, epoch, topology (JSON), then pairs of member field and value
-- Answers:   1, {'member', cluster, node, epoch, topology} where it is a member already, {'occupied', cluster}

local cluster, node, epoch, topology = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local function list(name)
  if may('HSETNX', KEYS[3], cluster, name) then redis.pcall('HSETNX', KEYS[3], cluster, name) end
end

local listed = redis.pcall('HKEYS', KEYS[3])
if listed.err then
  if not string.find(tostring(listed.err), 'WRONGTYPE', 1, true) then return listed end
  listed = {}
  if may('DEL', KEYS[3]) then redis.call('DEL', KEYS[3]) end
end
for _, name in ipairs(listed) do
  if name ~= cluster then return {'occupied', name} end
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  local found = redis.call('HMGET', KEYS[1], 'cluster', 'node', 'epoch')
  list(found[2] or node)
  return {'member', found[1] or '', found[2] or '', found[3] or '', redis.call('HGET', KEYS[2], 'topology') or ''}
end
redis.call('HSET', KEYS[1], 'cluster', cluster, 'node', node, 'epoch', epoch)
for index = 5, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 1]) end
local now = redis.call('HMGET', KEYS[1], 'epoch', 'state')
redis.call('SET', KEYS[4], (now[1] or '') .. ' ' .. (now[2] or ''))
redis.call('HSET', KEYS[2], 'topology', topology)
list(node)
return 1
