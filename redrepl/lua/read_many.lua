-- include: guard size
-- Read records, as many from the first key on as stay within a number of bytes, and at least one: whoever asked asks
-- again for the others. Of many keys up to PIECE large records may be read before they are left out, of PIECE keys none.
-- Keys:      member hash, the users' keys
-- Arguments: epoch, where to read: on 'active' members alone, where writes are 'decided' (never on a replica), or for
--            'upkeep' on syncing and fenced ones too,
--            most bytes of records to answer, and from clients their time in microseconds: a node whose clock is ahead of
--            it by more than max_age may have dropped what has a deadline, and answers nothing
-- Answers:   {'ok', record or nil, ...}, {'refused', epoch, state}; 'foreign' in place of a record where something
--            stands that is no string, and whatever string stands there where it is no record

local member = read_member()
if not (admits(member) or (ARGV[2] == 'upkeep' and admits_catch_up(member))) then return refusal(member) end
if ARGV[2] == 'decided' and member.rule == 'follow' then return refusal(member) end
local FIRST, last, room, answer = 2, #KEYS, tonumber(ARGV[3]), {'ok'}
local has_large = last - FIRST < PIECE or expects_large(FIRST, last)
local index, caller, now, in_doubt = FIRST, tonumber(ARGV[4]), 0, nil
if caller then
  now = now_micros()
  if now > caller + member.max_age then
    expired(now)
    return refusal_of_time(member, now, caller)
  end
end
while index <= last do
  if has_large and index > FIRST and length_of(KEYS[index]) > room then return answer end
  local stored = redis.call('MGET', unpack(KEYS, index, has_large and index or math.min(index + PIECE - 1, last)))
  for place = 1, #stored do
    local record = stored[place]
    if record then
      local length = #record
      if length > room and index > FIRST then return answer end
      room = room - length
      has_large = has_large or length > LARGE
    elseif redis.call('EXISTS', KEYS[index]) == 1 then
      record = 'foreign'
    elseif caller then
      if in_doubt == nil then in_doubt = is_in_doubt(member, now) end
      if in_doubt then return refusal_in_doubt(member) end
    end
    answer[index] = record
    index = index + 1
  end
end
return answer
