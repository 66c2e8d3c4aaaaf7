-- include: guard record size batch position
-- Take records that another node has, the later stamp winning, and move the mark, in one step: the mark never stands
-- before records that are not here. One log entry holds what was new.
-- Keys:      member hash, change log, marks hash, the users' keys (all different)
-- Arguments: epoch, source node, incarnation of its log, stream id and entry count up to which everything is here
--            (id '' moves no mark), a record for each key
-- Answers:   {'ok', number of records that were new}, {'foreign', key}, {'refused', epoch, state}

local member = read_member()
if not admits_catch_up(member) then return refusal(member) end
local source, incarnation, id, count = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local standing, foreign = read_standing(4)
if foreign then return {'foreign', foreign} end

local function judge(proposed, stands)
  if compare(proposed, stands) > 0 then return proposed end
end

local taken = store_taken(standing, 4, 6, member.max_age, judge)
if id ~= '' then
  local known_incarnation, known_id = string.match(redis.call('HGET', KEYS[3], source) or '', '^(%S+) (%S+) ')
  if known_incarnation ~= incarnation or is_later_id(id, known_id) then
    redis.call('HSET', KEYS[3], source, incarnation .. ' ' .. id .. ' ' .. count)
  end
end
return {'ok', taken}
