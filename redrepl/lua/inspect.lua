-- include: typed
-- Everything about a node but its records. Works on any node, member or not, and whatever stands under these names.
-- Keys:      member hash, change log, cursors hash, marks hash, topology hash, clusters hash,
--            checkpoints list, sweep hash, guard
-- Arguments: id of an entry of the change log; or none
-- Answers:   {member fields, {length, last id given, entries ever added, first id, last id, 1 where the log holds that
--             entry, else 0}, cursors, marks, topology,
--             time in milliseconds, clusters, checkpoints, sweep, guard ('' where it is no string), name of the member hash
--             or change log where it is of another type, else ''}; hashes as flat lists of field and value, empty where
--             they are of another type

local function hash(key)
  return typed_call('HGETALL', key) or {}
end

local log, damaged = {0, '0-0', 0, '', '', 0}, ''
if redis.call('EXISTS', KEYS[2]) == 1 then
  local information = typed_call('XINFO', 'STREAM', KEYS[2])
  if information then
    local fields = {}
    for index = 1, #information, 2 do fields[information[index]] = information[index + 1] end
    -- The last id that was given may be that of an entry that was taken back.
    local first, last = fields['first-entry'], fields['last-entry']
    local is_there = ARGV[1] and redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])[1]
    log = {fields['length'], fields['last-generated-id'], fields['entries-added'], first and first[1] or '',
           last and last[1] or '', is_there and 1 or 0}
  else
    damaged = KEYS[2]
  end
end
local member = typed_call('HGETALL', KEYS[1])
if not member then member, damaged = {}, KEYS[1] end
local time = redis.call('TIME')
return {member, log, hash(KEYS[3]), hash(KEYS[4]), typed_call('HGET', KEYS[5], 'topology') or '',
        string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)),
        hash(KEYS[6]), typed_call('LRANGE', KEYS[7], 0, 99) or {}, hash(KEYS[8]),
        redis.call('MGET', KEYS[9])[1] or '', damaged}
