-- at full memory: absorb_oom
-- include: guard typed record acceptance size growth batch position
-- Take records that another node has, the later stamp winning, and move the mark, in one step: the mark never stands
-- before records that are not here. One log entry holds what was new.
-- The script `absorb_oom` takes them at full memory too: whoever calls it knows that they are few, or smaller.
-- Keys:      member hash, change log, marks hash, the users' keys (all different)
-- Arguments: epoch, field of the source in the marks hash, incarnation of its log, stream id and entry count up to which
--            everything is here (id '' moves no mark), this node's purged_before as it was before the records were read,
--            or '' to pass over what is older where nothing stands, id of the newest entry of this node's log that the
--            caller knows ('' for none), a record for each key
-- Answers:   {'ok', number of records that were new, id of the entry that holds them ('' where none is)}, {'foreign', key},
--            {'purged'} where a tombstone that was later than one of the records may have been purged since it was read,
--            {'back'} where the entry is gone: this server forgot what was brought since; after both nothing was stored,
--            {'refused', epoch, state}

local member = read_member()
if not admits_catch_up(member) then return refusal(member) end
local source, incarnation, id, count, seen_purged_before = ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
-- Else the mark would move beyond what is not here any more.
if ARGV[7] ~= '' and has_lost_entry(KEYS[1], KEYS[2], ARGV[7]) then return {'back'} end
local standing, foreign = read_standing(4)
if foreign then return {'foreign', foreign} end

-- Other than it was: it has risen, or a wrong clock's limit was put right by a purge.
local purged = member.noted_limit > 0 and purged_before(member, now_micros()) or 0
if seen_purged_before and seen_purged_before ~= member.noted_limit then
  for index = 1, #standing do
    if standing[index] == ABSENT and micros_of(ARGV[index + 7]) < purged then return {'purged'} end
  end
end

local function judge(proposed, stored)
  return accept_copied(proposed, stored, seen_purged_before and 0 or purged)
end

local taken, _, entry = store_taken(standing, 4, 8, member.max_age, judge, true)
if id ~= '' then
  local known_incarnation, known_id = known_mark(KEYS[3], source)
  if known_incarnation ~= incarnation or not is_later_id(known_id, id) then
    redis.call('HSET', KEYS[3], source, incarnation .. ' ' .. id .. ' ' .. count)
  end
end
return {'ok', taken, entry}
