-- List a cluster's jobs among those that wait, run or failed. Others' are left out here: there may be very many.
-- Keys:      the list or sorted set of jobs' ids
-- Arguments: how the ids begin, the longest that an id may be, how many ids to look at, how many to list
-- Answers:   the ids; none where the key is neither

local start, longest, looked_at, listed = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local kind = redis.call('TYPE', KEYS[1]).ok
local ids = {}
if kind == 'list' then
  ids = redis.call('LRANGE', KEYS[1], 0, looked_at - 1)
elseif kind == 'zset' then
  ids = redis.call('ZRANGE', KEYS[1], 0, looked_at - 1)
end
local found = {}
for _, id in ipairs(ids) do
  if #id <= longest and string.sub(id, 1, #start) == start and #found < listed then found[#found + 1] = id end
end
return found
