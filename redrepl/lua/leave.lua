-- flags: allow-oom
-- include: may
-- Take this node out of its cluster: the bookkeeping goes, the records stay until they are removed by their owner.
-- So does the entry in the list of clusters, unless the login may remove it: FLUSHDB takes both.
-- Keys:      member hash, topology hash, clusters hash, change log, cursors hash, marks hash,
--            checkpoints list, sweep hash, guard
-- Arguments: cluster, node, identity ('' for none)
-- Answers:   1, 0 where it is no such member

local found = redis.call('HMGET', KEYS[1], 'cluster', 'node', 'identity')
if found[1] ~= ARGV[1] or found[2] ~= ARGV[2] or (found[3] or '') ~= ARGV[3] then return 0 end
if may('HDEL', KEYS[3], ARGV[1]) then redis.pcall('HDEL', KEYS[3], ARGV[1]) end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9])
return 1
