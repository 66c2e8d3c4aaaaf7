-- Everything about a node but its records. Works on any node, member or not.
-- Keys:      member hash, change log, cursors hash, marks hash, topology hash, clusters hash,
--            checkpoints list, sweep hash, guard
-- Arguments: none
-- Answers:   {member fields, {length, last id, entries ever added, first id}, cursors, marks, topology,
--             time in milliseconds, clusters, checkpoints, sweep, guard ('' where it is no string)}; hashes as flat
--             lists of field and value

local log = {0, '0-0', 0, ''}
if redis.call('EXISTS', KEYS[2]) == 1 then
  local information = redis.call('XINFO', 'STREAM', KEYS[2])
  local fields = {}
  for index = 1, #information, 2 do fields[information[index]] = information[index + 1] end
  local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
  log = {fields['length'], fields['last-generated-id'], fields['entries-added'], first[1] and first[1][1] or ''}
end
local time = redis.call('TIME')
return {redis.call('HGETALL', KEYS[1]), log, redis.call('HGETALL', KEYS[3]), redis.call('HGETALL', KEYS[4]),
        redis.call('HGET', KEYS[5], 'topology') or '',
        string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)),
        redis.call('HGETALL', KEYS[6]), redis.call('LRANGE', KEYS[7], 0, -1), redis.call('HGETALL', KEYS[8]),
        redis.call('MGET', KEYS[9])[1] or ''}
