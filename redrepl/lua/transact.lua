-- at full memory: transact_oom
-- include: guard typed record operation growth
-- Carry out several operations in one step, on a node that takes writes for clients (never on a replica): as a unit, all
-- or nothing, or each on its own. An operation sees what those before it made of its key. What is stored makes one log
-- entry. At full memory the script `transact_oom` takes what takes no more of it.
-- Keys:      member hash, change log, the users' keys (all different)
-- Arguments: epoch, 'unit' or 'each', most bytes of whole records in the answer, number of expectations,
--            for each expectation: index of its key (from 0), stamp that must stand ('' for a key that reads as absent),
--            for each operation: index of its key, operation, proposed stamp, deadline, operand (parts/operation.lua)
-- Answers:   {'done', verdict, detail, ...} for each operation: 'ok' and its stamp, or what ANSWER in
--                                  parts/operation.lua says; with 'each' also 'unmet' and 'unfit' as in update.lua
--            {'conflict', index, stamp, ...}   keys (each once) of expectations and conditions that do not hold, and the
--                                  stamps that stand ('' for nothing); nothing was stored. With 'unit'.
--            {'unfit', index, why} an operation (from 0) that cannot be carried out; nothing was stored. With 'unit'.
--            {'expired', now}, {'skewed', now}, {'foreign', key}, {'refused', epoch, state} as in write.lua

local member = read_member()
if not admits(member) or member.rule == 'follow' then return refusal(member) end
local is_unit, room, now = ARGV[2] == 'unit', tonumber(ARGV[3]), now_micros()
local first_operation = 5 + 2 * tonumber(ARGV[4])
local FIRST_KEY, OPERATION_ARGUMENTS = 3, 5

-- By index in KEYS: the header that was found, and the header or record that stands after the operations so far.
local found, standing, is_whole, is_changed = {}, {}, {}, {}
for index = FIRST_KEY, #KEYS do
  found[index] = peek(KEYS[index])
  if not found[index] then return {'foreign', KEYS[index]} end
  standing[index] = found[index]
end
for place = first_operation, #ARGV, OPERATION_ARGUMENTS do
  local turned_down = turn_down(member, now, ARGV[place + 2], found[ARGV[place] + FIRST_KEY])
  if turned_down then return turned_down end
end

local conflict, in_conflict = {'conflict'}, {}

local function report_conflict(index)
  if in_conflict[index] then return end
  in_conflict[index] = true
  conflict[#conflict + 1] = index - FIRST_KEY
  conflict[#conflict + 1] = string.sub(found[index], 1, 22)
end

for place = 5, first_operation - 1, 2 do
  local index = ARGV[place] + FIRST_KEY
  if not is_as_expected(found[index], ARGV[place + 1], now) then report_conflict(index) end
end

local function try(index, operation, stamp, deadline, operand)
  if ANSWER[operation] and not is_whole[index] then
    standing[index] = standing[index] ~= ABSENT and redis.call('GET', KEYS[index]) or ABSENT
    is_whole[index] = true
  end
  local stood = standing[index]
  local verdict, detail = carry_out(operation, stood, stamp, deadline, operand, now, member.restamp_writer)
  if verdict ~= 'ok' then return verdict, detail end
  local told = told_of(operation, detail, stood, now)
  if ANSWER[operation] then
    if #told > room then return 'unfit', 'the value is too large to be changed together with others' end
    room = room - #told
  end
  standing[index], is_whole[index], is_changed[index] = detail, true, true
  return 'ok', told
end

local answer, unfit = {'done'}, nil
for place = first_operation, #ARGV, OPERATION_ARGUMENTS do
  local index = ARGV[place] + FIRST_KEY
  if not in_conflict[index] then
    local verdict, detail = try(index, ARGV[place + 1], ARGV[place + 2], ARGV[place + 3], ARGV[place + 4])
    answer[#answer + 1] = verdict
    answer[#answer + 1] = detail
    if is_unit and verdict == 'unmet' then report_conflict(index) end
    if is_unit and verdict == 'unfit' and not unfit then
      unfit = {'unfit', (place - first_operation) / OPERATION_ARGUMENTS, detail}
    end
  end
end
if #conflict > 1 then return conflict end
if unfit then return unfit end

-- The log comes first: it can fail (its key may hold something else), and then nothing is stored.
local entry, names, lengths, failure = {}, {}, {}, nil
for index = FIRST_KEY, #KEYS do
  if is_changed[index] then
    names[#names + 1], lengths[#lengths + 1] = KEYS[index], #standing[index]
    entry[#entry + 1] = KEYS[index]
    entry[#entry + 1] = string.sub(standing[index], 1, 22)
  end
end
if lacks_memory(names, lengths) then return redis.error_reply(OUT_OF_MEMORY) end
local id = #entry > 0 and redis.call('XADD', KEYS[2], '*', unpack(entry))
for index = FIRST_KEY, #KEYS do
  if is_changed[index] then failure = failure or store(KEYS[index], standing[index], member.max_age) end
end
if failure then take_back(id, failure) end
return answer
