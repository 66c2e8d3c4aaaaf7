-- include: guard
-- Read records.
-- Keys:      member hash, the users' keys
-- Arguments: epoch, where to read: on 'active' members alone, or for 'upkeep' on syncing and fenced ones too
-- Answers:   {'ok', record or nil, ...}, {'refused', epoch, state}; 'foreign' in place of a record where something
--            stands that is no string, and whatever string stands there where it is no record

local member = read_member()
if not (admits(member) or (ARGV[2] == 'upkeep' and admits_catch_up(member))) then return refusal(member) end
local names = {}
for index = 2, #KEYS do names[index - 1] = KEYS[index] end
local answer = redis.call('MGET', unpack(names))
for index, name in ipairs(names) do
  if not answer[index] and redis.call('EXISTS', name) == 1 then answer[index] = 'foreign' end
end
table.insert(answer, 1, 'ok')
return answer
