-- include: guard
-- Read records, on an active member alone.
-- Keys:      member hash, the users' keys
-- Arguments: epoch
-- Answers:   {'ok', record or nil, ...}, {'refused', epoch, state}

local member = read_member()
if not admits(member) then return refusal(member) end
local names = {}
for index = 2, #KEYS do names[index - 1] = KEYS[index] end
local answer = redis.call('MGET', unpack(names))
table.insert(answer, 1, 'ok')
return answer
