-- include: guard
-- Read the headers of records: stamp, kind and deadline (35 bytes), '' where nothing stands.
-- Keys:      member hash, the users' keys
-- Arguments: epoch, whom to admit: 'active' members alone, or 'catch-up': syncing ones too
-- Answers:   {'ok', header, ...}, {'foreign', key}, {'refused', epoch, state}

local member = read_member()
if not (admits(member) or (ARGV[2] == 'catch-up' and admits_catch_up(member))) then return refusal(member) end
local answer = {'ok'}
for index = 2, #KEYS do
  local header = redis.pcall('GETRANGE', KEYS[index], 0, 34)
  if type(header) ~= 'string' then return {'foreign', KEYS[index]} end
  answer[index] = header
end
return answer
