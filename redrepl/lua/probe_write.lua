-- include: typed other_type
-- Find out whether this server takes the writes of clients: what refuses theirs refuses this, in its own words. Commands
-- that find nothing to do are refused as others are. Now and then something is really stored, because a server may notice
-- only then that it cannot; seldom, because a server without clients is not to save snapshots for this alone.
-- Keys:      member hash, probe hash, a stream and a string that do not exist, the name of a record with an empty key
-- Arguments: who asks, milliseconds from one time that something is stored to the next, commands that clients' scripts
--            call, and those that a change of epoch calls (words in lower case)
-- Answers:   {milliseconds since a monitor's probe was stored, below 0 where none was, or by a clock that was ahead; what
--            a server would say of the first command of a change of epoch that this login may not run, '' where it may
--            run all}; or the error of the server

-- What something else put under these names is no refusal of the server's.
remove_other_type(KEYS[2], 'HGET', KEYS[2], '')
remove_other_type(KEYS[3], 'XLEN', KEYS[3])
redis.call('XADD', KEYS[3], 'NOMKSTREAM', '*', 'probe', '')
redis.call('SET', KEYS[4], '', 'XX')
-- What a login may do changes without a word.
local function first_denied(commands)
  for command in string.gmatch(redis.acl_check_cmd and commands or '', '%S+') do
    if not redis.acl_check_cmd(command, KEYS[1], KEYS[1], KEYS[1], KEYS[1]) then
      return 'NOPERM this user has no permissions to run the ' .. command .. ' command'
    end
  end
  return ''
end

local denied = first_denied(ARGV[3])
if denied ~= '' then return redis.error_reply(denied) end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local found = redis.call('HMGET', KEYS[2], ARGV[1], 'monitor')
local is_due = not found[1] or now - found[1] >= tonumber(ARGV[2]) or now < tonumber(found[1])
if is_due and redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', now))
end
return {found[2] and now - found[2] or -1, first_denied(ARGV[4])}
