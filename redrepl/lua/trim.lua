-- flags: allow-oom
-- include: guard typed position log
-- Cut the change log. A member whose mark lies before the floor needs a full sync. Where a walk that fills a node holds
-- the log from a place on, more entries than usual are kept from there, as long as they take no more than so many bytes;
-- how many they take is worked out from some of the oldest and newest. A floor beyond the log's end says that the log
-- lost a part. So nothing is cut of a log that was begun anew since the caller looked at it, nor up to a place that it
-- does not reach.
-- Keys:      member hash, change log
-- Arguments: epoch, stream id of the first entry to keep, most entries to keep whatever that costs, stream id from which
--            on the log is held ('' where it is not), most bytes to keep of a log that is held, incarnation of the log
--            that the places are in ('' for any)
-- Answers:   {'ok', entries removed}, {'refused', epoch, state}

local member = read_member()
if not admits_catch_up(member) then return refusal(member) end
local SAMPLE, ENTRY_BYTES, FIELD_BYTES = 32, 24, 3
local keep_from, cap, held, cap_bytes = ARGV[2], tonumber(ARGV[3]), ARGV[4] or '', tonumber(ARGV[5])
local removed = 0
if is_another_log(ARGV[6]) then return {'ok', 0} end
local _, last_id = log_end()

local function raise_floor(id)
  local floor = redis.call('HGET', KEYS[1], 'log_floor')
  if floor and not is_later_id(id, floor) then return false end
  redis.call('HSET', KEYS[1], 'log_floor', id)
  return true
end

local function cut_before(id)
  if is_later_id(id, last_id) then return end
  if raise_floor(id) then removed = removed + redis.call('XTRIM', KEYS[2], 'MINID', '~', id) end
end

local function bytes_per_entry()
  local bytes, count = 0, 0
  for _, name in ipairs({'XRANGE', 'XREVRANGE'}) do
    local first, last = '-', '+'
    if name == 'XREVRANGE' then first, last = '+', '-' end
    for _, entry in ipairs(redis.call(name, KEYS[2], first, last, 'COUNT', SAMPLE)) do
      count, bytes = count + 1, bytes + ENTRY_BYTES
      for _, text in ipairs(entry[2]) do bytes = bytes + #text + FIELD_BYTES end
    end
  end
  return bytes / math.max(1, count)
end

cut_before(keep_from)
if redis.call('XLEN', KEYS[2]) > cap and held ~= '' then
  cut_before(held)
  cap = math.max(cap, math.floor(cap_bytes / bytes_per_entry()))
end
if redis.call('XLEN', KEYS[2]) > cap then
  removed = removed + redis.call('XTRIM', KEYS[2], 'MAXLEN', '~', cap)
  local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
  if first[1] then raise_floor(first[1][1]) end
end
return {'ok', removed}
