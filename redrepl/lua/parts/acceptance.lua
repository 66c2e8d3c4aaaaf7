-- Part: the acceptance rule, which says whether a record replaces the one that is stored
-- (docs/protocol.md, section 3). Included parts: guard, record. Nothing is stored here.
-- It is the only place of the rule but for the short way of write.lua. What operations with a
-- condition are turned down for is in the part operation.

-- Whether a primary has taken this record already, so that this node's clock may not turn it down:
-- the caller says so (`said`), or the primary gave the stamp. Its writer ids have the top bit, and
-- no client's has it (values/stamp.py). A node that decides by itself takes no client's word for it.
local function is_decided_elsewhere(member, record, said)
  if member.rule == 'decide' then return false end
  return said == 'decided' or (member.rule == 'follow' and string.byte(record, 15) >= 56)
end

-- The rule for a record that a client writes: the proposed stamp (or record) beside the header that
-- is stored. Returns the stamp to store the record with, nil where it is not stored, and then the
-- verdict and its text where the caller is told one. `said`: what the call says of the primary, as
-- in write.lua.
local function accept(member, now, proposed, stored, said)
  local micros, order = micros_of(proposed), compare(proposed, stored)

  -- A stamp of the future would win against every later write for as long.
  if micros > now + member.max_skew and not is_decided_elsewhere(member, proposed, said) then
    return nil, 'skewed', string.format('%.0f', now)
  end

  -- The same stamp is the same record: it was sent twice.
  if order == 0 then return nil end

  -- What waited too long may be earlier than a tombstone that is gone by now.
  local decides = member.rule == 'decide'
  if decides and micros < now - member.max_age then return nil, unpack(expired(now)) end
  if stored == ABSENT and micros < purged_before(member, now) then
    return nil, 'expired', string.format('%.0f', now)
  end

  -- The later stamp wins. The one primary gives an earlier one a new stamp: it comes later here.
  if order > 0 then return string.sub(proposed, 1, 22) end
  if not decides then return nil, 'has', string.sub(stored, 1, 22) end
  local stamp = restamp(stored, member.restamp_writer)
  return stamp, 'ok', stamp
end

-- The rule for a record that another node has: the later stamp wins. Ages and clocks were judged
-- where it was written. Returns as above. `purged`: what is older is not stored where nothing is.
local function accept_copied(proposed, stored, purged)
  if stored == ABSENT and micros_of(proposed) < purged then return nil end
  if compare(proposed, stored) > 0 then return proposed end
end
