-- flags: allow-oom
-- include: may typed
-- Drop the bookkeeping of a node where it holds what no node of ours would write, if that still is what the caller saw. The
-- records stay, and the server is one that came back empty: its place is given to it anew, and it is filled. The guard
-- keeps the number of its epoch, without a state, until then: if it was right after all, nobody may begin that once more.
-- Keys:      member hash, topology hash, clusters hash, change log, cursors hash, marks hash,
--            checkpoints list, sweep hash, guard
-- Arguments: cluster, and epoch, state, run id and identity as they stand in the member hash ('' for what is not there)
-- Answers:   1, 0 where it has changed since

local found = typed_call('HMGET', KEYS[1], 'epoch', 'state', 'run_id', 'identity') or {}
for index = 1, 4 do
  if (found[index] or '') ~= ARGV[index + 1] then return 0 end
end
if may('HDEL', KEYS[3], ARGV[1]) then redis.pcall('HDEL', KEYS[3], ARGV[1]) end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9])
local epoch = found[1] or ''
if #epoch <= 9 and string.match(epoch, '^%d+$') then redis.call('SET', KEYS[9], epoch .. ' ') end
return 1
