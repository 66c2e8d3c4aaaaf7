-- flags: allow-oom
-- include: guard log
-- Keep this node's log from a place on, for a walk that fills another node: what was changed since the walk began is
-- shipped from there. A hold runs out unless it is renewed.
-- Keys:      member hash, change log
-- Arguments: epoch, field, stream id and entry count ('' lets go), milliseconds for which it lasts
-- Answers:   {'ok', stream id from which on the log is complete, entries ever added to it}, {'refused', epoch, state}

local member = read_member()
if not admits_catch_up(member) then return refusal(member) end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[2])
else
  local until_millis = string.format('%.0f', math.floor(now_micros() / 1000) + tonumber(ARGV[4]))
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3] .. ' ' .. until_millis)
end
return {'ok', redis.call('HGET', KEYS[1], 'log_floor') or '0-0', entries_added()}
