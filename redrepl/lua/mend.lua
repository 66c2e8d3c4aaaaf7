-- include: guard typed record position log history
-- Put back what this primary had and lost, by a clock that was ahead or by hand, from a copy that vouches for it. Stored
-- is a record, with its stamp and deadline, where nothing stands and where one of two things is certain:
-- - it is what this log named last under the key;
-- - the copy's log does not name it after what was checked here, so this node had it or something later; and this log
--   does not name the key after what the copy has of it, so there was nothing later (docs/protocol.md, section 4.1).
-- Keys:      member hash, change log, marks hash, the users' keys
-- Arguments: epoch, the caller's time in microseconds, field of the copy in the marks hash, what the copy answered to
--            `vouch`: incarnation, id, mark; most names to look at in the log, then for each key record and '1' or '0'
-- Answers:   {'ok', number stored}, {'refused', epoch, state}

local member = read_member()
if not admits(member) or member.rule ~= 'decide' then return refusal(member) end
local FIRST, now = 4, now_micros()
if now > tonumber(ARGV[2]) + member.max_age then
  expired(now)
  return refusal_of_time(member, now, tonumber(ARGV[2]))
end

-- Whether the copy's log was checked here up to a place: that is noted with the log's incarnation.
local function was_checked(copy, incarnation, id)
  local known_incarnation, known_id = known_mark(KEYS[3], copy)
  return known_incarnation == incarnation and id ~= '' and not is_later_id(id, known_id)
end

local is_checked = was_checked(ARGV[3], ARGV[4], ARGV[5])
local of_this_log, id, count = string.match(ARGV[6], '^(%S+) (%S+) (%d+)$')
if of_this_log ~= redis.call('HGET', KEYS[1], 'incarnation') then id = nil end
local newest, is_known = look_back(FIRST, id, count, tonumber(ARGV[7]))

local function is_proved(name, record, is_settled)
  if newest[name] then return newest[name] == string.sub(record, 1, 22) end
  return is_known and is_checked and is_settled == '1'
end

local entry, records = {}, {}
for index = FIRST, #KEYS do
  local name, record = KEYS[index], ARGV[2 * index]
  if is_record(record) and is_live(record, now) and is_proved(name, record, ARGV[2 * index + 1]) and peek(name) == ABSENT then
    records[name] = record
    entry[#entry + 1], entry[#entry + 2] = name, string.sub(record, 1, 22)
  end
end
if #entry == 0 then return {'ok', 0} end
local id_of_entry, stored = redis.call('XADD', KEYS[2], '*', unpack(entry)), 0
for index = 1, #entry, 2 do
  local failure = store(entry[index], records[entry[index]], member.max_age)
  -- Part of the entry may be stored by then: only one that is not at all can be taken back.
  if failure then take_back(stored == 0 and id_of_entry, failure) end
  stored = stored + 1
end
return {'ok', stored}
