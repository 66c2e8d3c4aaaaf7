-- at full memory: update_oom
-- include: guard typed record operation growth
-- Change a key depending on what it holds, on a node that takes writes for clients (never on a replica).
-- At full memory the script `update_oom` takes what takes no more of it.
-- Keys:      member hash, change log, the user's key
-- Arguments: epoch, operation (parts/operation.lua), proposed stamp, deadline (12 hexadecimal digits), operand
-- Answers:   {'ok', record}        stored, to be sent to the other copies as it is; or what ANSWER there says
--            {'unmet', stamp}      the condition does not hold; '' where nothing stands
--            {'unfit', why}        the operation cannot be carried out on what stands
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
  if ANSWER[ARGV[2]] == 'before' then detail = told_of(ARGV[2], detail, stored, now) end
end
return {verdict, detail}
