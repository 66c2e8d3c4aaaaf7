-- include: guard typed record
-- Read the headers of records: stamp, kind and deadline (35 bytes), '' where nothing stands, 'foreign' where something
-- stands that redrepl did not write.
-- Keys:      member hash, the users' keys
-- Arguments: epoch, where to read: on 'active' members alone, or for 'upkeep' on syncing and fenced ones too
-- Answers:   {'ok', header, ...}, {'refused', epoch, state}

local member = read_member()
if not (admits(member) or (ARGV[2] == 'upkeep' and admits_catch_up(member))) then return refusal(member) end
local answer = {'ok'}
for index = 2, #KEYS do
  answer[index] = string.sub(peek(KEYS[index]) or 'foreign', 1, 35)
end
return answer
