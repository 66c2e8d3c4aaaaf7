-- Part: the guard. Every script that touches data includes it and calls one of its functions first.
-- Keys:      KEYS[1] is the member hash.
-- Arguments: ARGV[1] is the epoch the caller acts in, in decimal.
-- Answers:   {'refused', epoch, state} of this node where it does not admit the caller ('' where it is no member).

local function read_member()
  local found = redis.call('HMGET', KEYS[1], 'epoch', 'state', 'rule', 'restamp_writer', 'max_age_micros',
                           'max_skew_micros', 'purged_before')
  return {epoch = found[1], state = found[2], rule = found[3], restamp_writer = found[4],
          max_age = tonumber(found[5]), max_skew = tonumber(found[6]), noted_limit = tonumber(found[7] or 0)}
end

local function refusal(member)
  return {'refused', member.epoch or '', member.state or ''}
end

-- Clients are admitted by active members of their epoch alone.
local function admits(member)
  return member.epoch == ARGV[1] and member.state == 'active'
end

-- Whether a client takes this replica for the node that decides (`said`: 'by ' and the node's name): it follows another
-- topology of this epoch than the members do, one that somebody made up. Nothing is decided here.
local function is_taken_for_primary(member, said)
  return member.rule == 'follow' and said == 'by ' .. (redis.call('HGET', KEYS[1], 'node') or '')
end

-- Catch-up also writes to members that are being brought up, and to fenced ones: whoever moves the cluster to a new
-- epoch knows that epoch alone, and brings them to one state before they serve in it.
local function admits_catch_up(member)
  return member.epoch == ARGV[1] and (member.state == 'active' or member.state == 'syncing' or member.state == 'fenced')
end

local function now_micros()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- The verdict on what is too old by this node's clock. The clock may be what is wrong: so its time is noted, the latest
-- that it ever showed to anybody who was refused. Where it turns out to have been ahead, records may have been dropped.
local function expired(now)
  local millis = math.floor(now / 1000)
  if millis > tonumber(redis.call('HGET', KEYS[1], 'clock_latest') or 0) then
    redis.call('HSET', KEYS[1], 'clock_latest', string.format('%.0f', millis))
  end
  return {'expired', string.format('%.0f', now)}
end

-- Whether this node's clock is known to have been ahead, by what `expired` noted, and it was not compared with the others
-- since: that it has nothing under a key says nothing then.
local function is_in_doubt(member, now)
  local found = redis.call('HMGET', KEYS[1], 'clock_latest', 'clock_checked')
  local latest = tonumber(found[1] or 0)
  return latest * 1000 > now + member.max_skew and latest > tonumber(found[2] or 0)
end

local function refusal_in_doubt(member)
  return {'refused', member.epoch, 'in doubt: its clock is, or was, ahead'}
end

-- Of a caller whose time is more than max_age behind this node's clock. Whose is wrong cannot be known here: the caller,
-- who can ask the other nodes, is told both (redrepl/plans/view.py).
local function refusal_of_time(member, now, caller)
  return {'refused', member.epoch, string.format("in doubt: its clock shows %.0f, the caller's %.0f", now, caller)}
end

-- Microseconds before which tombstones may have been purged here. What is noted never counts beyond max_age ago: a limit
-- that was made by a clock that was ahead would else turn down new writes until time has caught up with it. So where a
-- stamp is not older than max_age, nobody needs to ask.
local function purged_before(member, now)
  return math.min(member.noted_limit, now - member.max_age)
end
