-- Part: the acceptance rule, which says whether a record replaces the one that is stored
-- (docs/protocol.md, section 3). Included parts: guard, record. Nothing is stored here.
-- It is the only place of the rule but for the short way of write.lua.

-- Whether a primary gave this stamp: its writer ids have the top bit, which no client's has
-- (values/stamp.py).
local function is_restamped(record)
  return string.byte(record, 15) >= 56
end

-- Whether a primary has taken this record already, so that this node's clock may not turn it down:
-- the primary gave the stamp, or the caller says so (`said`). A node that decides by itself takes
-- no client's word for that.
local function is_decided_elsewhere(member, record, said)
  if member.rule == 'decide' then return false end
  return said == 'decided' or (member.rule == 'follow' and is_restamped(record))
end

-- The rule for records that clients write, as a function of the proposed stamp (or record) and the
-- stored header. It returns the stamp to store the record with, nil where it is not stored, and
-- then the verdict and its text where the caller is told one. `said`: what the call says of the
-- primary, as in write.lua.
local function acceptance(member, now, said)
  local decides, now_text = member.rule == 'decide', string.format('%.0f', now)
  local latest, oldest = now + member.max_skew, now - member.max_age
  local purged = purged_before(member, now)

  return function(proposed, stored)
    local micros, order = micros_of(proposed), compare(proposed, stored)

    -- A stamp of the future would win against every later write for as long.
    if micros > latest and not is_decided_elsewhere(member, proposed, said) then
      return nil, 'skewed', now_text
    end

    -- The same stamp is the same record: it was sent twice.
    if order == 0 then return nil end

    -- What waited too long may be earlier than a tombstone that is gone by now.
    if decides and micros < oldest then return nil, unpack(expired(now)) end
    if stored == ABSENT and micros < purged then return nil, 'expired', now_text end

    -- The later stamp wins. The one primary gives an earlier one a new stamp: it comes later here.
    if order > 0 then return string.sub(proposed, 1, 22) end
    if not decides then return nil, 'has', string.sub(stored, 1, 22) end
    local stamp = restamp(stored, member.restamp_writer)
    return stamp, 'ok', stamp
  end
end

-- The rule for records that another node has: the later stamp wins. Ages and clocks were judged
-- where they were written. Returns as above. `purged`: what is older is not stored where nothing is.
local function accept_copied(proposed, stored, purged)
  if stored == ABSENT and micros_of(proposed) < purged then return nil end
  if compare(proposed, stored) > 0 then return proposed end
end

-- The rule for operations that are decided here, which depend on what is stored: why this node does
-- not carry out one with this stamp, as its answer; nil where it does.
local function turn_down(member, now, proposed, stored)
  local micros = micros_of(proposed)
  if micros > now + member.max_skew then return {'skewed', string.format('%.0f', now)} end
  if micros < now - member.max_age then return expired(now) end
  if stored == ABSENT and is_in_doubt(member, now) then return refusal_in_doubt(member) end
end

-- The stamp of what such an operation makes: later than what is stored, always.
local function later_stamp(proposed, stored, restamp_writer)
  return compare(proposed, stored) > 0 and proposed or restamp(stored, restamp_writer)
end
