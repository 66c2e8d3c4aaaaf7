-- at full memory: write_oom
-- Store one record if the node's rule takes it, and append it to the change log, in one step.
-- The member's rule says which role the node plays: 'decide' (the one primary: restamps, refuses what is too old),
-- 'follow' (a replica) or 'merge' (one of several primaries); the last two keep the later stamp. The same bytes go to
-- every node.
-- At full memory the script `write_oom` takes what takes no more of it: a tombstone over a value, above all.
-- Keys:      member hash, change log, the user's key
-- Arguments: epoch, record, and 'decided' where a primary holds the record: then the other copies take it whatever their
--            clocks say; or 'by ' and the name of the one primary, as the caller knows it: a replica of that name refuses
-- Answers:   1                     the record stands with the stamp that was sent
--            {'ok', stamp}         the primary stored it under this later stamp
--            {'has', stamp}        a record with this later stamp stands
--            {'expired', now}      older than max_age by this node's clock (microseconds), or nothing stands and tombstones
--                                  later than this record may have been purged; nothing stored
--            {'skewed', now}       further ahead of this node's clock than max_skew, and not decided by a primary; nothing
--                                  stored
--            {'foreign', key}      redrepl did not write what stands there; nothing stored
--            {'refused', epoch, state}

local call, sub, number, find = redis.call, string.sub, tonumber, string.find
local key, record = KEYS[3], ARGV[2]
local found = call('HMGET', KEYS[1], 'epoch', 'state', 'max_age_micros', 'max_skew_micros', 'rule', 'node')
local stored = redis.pcall('GETRANGE', key, '0', '39')
local time = call('TIME')
local now, micros = number(time[1]) * 1000000 + number(time[2]), number(sub(record, 1, 14), 16)

-- The short way. Nearly every write is this one, on every copy: a later value without a deadline, in time, over a value or
-- nothing. Whatever is not plainly that takes the long way below, which alone knows the rules. This repeats a part of the
-- acceptance rule on purpose: the parts come after it, because making their functions costs a third of it. A test holds both
-- ways equal (tests/scripts/test_short_way.py).
if found[1] == ARGV[1] and found[2] == 'active' and sub(record, 24, 35) == '000000000000'
   and (found[5] ~= 'follow' or ARGV[3] ~= 'by ' .. (found[6] or ''))
   and (not AT_FULL_MEMORY or (stored ~= '' and #record == 40))
   and micros >= now - found[3] and micros <= now + found[4] then
  local is_later
  if stored == '' then
    is_later = call('EXISTS', key) == 0
  else
    is_later = type(stored) == 'string' and #stored == 40 and string.byte(stored, 23) == 118
      and find(stored, '^[0-9a-f]+v[0-9a-f]+0000|$') ~= nil and micros > number(sub(stored, 1, 14), 16)
  end
  if is_later then
    local id = call('XADD', KEYS[2], '*', key, sub(record, 1, 22))
    if not redis.pcall('SET', key, record).err then return 1 end
    -- The login may not SET: the long way says so.
    redis.pcall('XDEL', KEYS[2], id)
  end
end

-- The long way.
-- include: guard typed record acceptance growth

local member = read_member()
if not admits(member) then return refusal(member) end
if is_taken_for_primary(member, ARGV[3]) then return refusal(member) end
stored = peek(key)
if not stored then return {'foreign', key} end
local stamp, verdict, text = accept(member, now, record, stored, ARGV[3])
if stamp then
  record = stamp .. sub(record, 23)
  if lacks_memory({key}, {#record}) then return redis.error_reply(OUT_OF_MEMORY) end
  log_and_store(key, record, member.max_age)
end
if verdict then return {verdict, text} end
return 1
