-- include: guard typed record size position log history
-- What this copy holds under keys under which the primary has nothing, and what it knows of the primary's log and the
-- primary of its own: by these `mend` can prove that the primary had it (docs/protocol.md, section 4.1).
-- Keys:      member hash, change log, cursors hash, marks hash, the users' keys
-- Arguments: epoch, field of the primary in the cursors and marks hashes, most names to look at in the log, most bytes of
--            records to answer
-- Answers:   {'ok', incarnation of this log, id up to which the primary has checked it ('' where it has not), mark of the
--            primary's log as it is stored, and for as many keys as stay within the bytes, at least one: the record, ''
--            where nothing is live, and '1' where the log does not name the key after that id, else '0'},
--            {'refused', epoch, state}

local member = read_member()
if not admits(member) then return refusal(member) end
local FIRST, primary, room, now = 5, ARGV[2], tonumber(ARGV[4]), now_micros()
local id, count = string.match(noted_position(KEYS[3], primary), '^(%S+) (%d+) ')
local newest, is_known = look_back(FIRST, id, count, tonumber(ARGV[3]))
local incarnation = redis.call('HGET', KEYS[1], 'incarnation') or ''
local answer = {'ok', incarnation, id or '', noted_position(KEYS[4], primary)}
for index = FIRST, #KEYS do
  local name, record = KEYS[index], ''
  local header = peek(name)
  if header and is_live(header, now) then
    local length = length_of(name)
    if length > room and index > FIRST then return answer end
    room, record = room - length, redis.call('GET', name)
  end
  local place = #answer
  answer[place + 1] = record
  answer[place + 2] = is_known and not newest[name] and '1' or '0'
end
return answer
