-- at full memory: update_oom
-- include: guard typed record operation growth
-- Change a key depending on what it holds, on a node that takes writes for clients (never on a replica).
-- At full memory the script `update_oom` takes what takes no more of it.
-- Keys:      member hash, change log, the user's key
-- Arguments: epoch, operation, proposed stamp, deadline (12 hexadecimal digits), operand
--            'add'       operand: payload. Only where the key reads as absent.
--            'compare'   operand: expected stamp and then the payload. Only where the record with that stamp stands.
--            'increment' operand: whole number to add; an absent key counts as 0; a deadline that stands stays.
--            'expire'    sets the deadline (zeros: none) of a live value; the operand is empty.
-- Answers:   {'ok', record}        stored, to be sent to the other copies as it is
--            {'unmet', stamp}      the condition does not hold; '' where nothing stands
--            {'unfit', why}        the value cannot be incremented
--            {'expired', now}, {'skewed', now}, {'foreign', key}, {'refused', epoch, state} as in write.lua

local member = read_member()
if not admits(member) or member.rule == 'follow' then return refusal(member) end
local key, stamp = KEYS[3], ARGV[3]
local stored = typed_call('GET', key)
if stored == false then
  stored = ABSENT
elseif not is_record(stored) then
  return {'foreign', key}
elseif is_impossible(stored) then
  stored = ABSENT
end
local now = now_micros()
local turned_down = turn_down(member, now, stamp, stored)
if turned_down then return turned_down end
local verdict, detail = carry_out(ARGV[2], stored, stamp, ARGV[4], ARGV[5], now, member.restamp_writer)
if verdict == 'ok' then
  if lacks_memory({key}, {#detail}) then return redis.error_reply(OUT_OF_MEMORY) end
  log_and_store(key, detail, member.max_age)
end
return {verdict, detail}
