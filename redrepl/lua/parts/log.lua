-- Part: the change log.
-- Keys: KEYS[1] is the member hash, KEYS[2] the change log.

-- Entries ever added to it, and the last id that it gave.
local function log_end()
  local fields = {['last-generated-id'] = '0-0', ['entries-added'] = 0}
  if redis.call('EXISTS', KEYS[2]) == 1 then
    local information = redis.call('XINFO', 'STREAM', KEYS[2])
    for index = 1, #information, 2 do fields[information[index]] = information[index + 1] end
  end
  return fields['entries-added'], fields['last-generated-id']
end

local function entries_added()
  local added = log_end()
  return added
end

-- Whether the log was begun anew since the caller looked at it: then a place that the caller names means nothing here.
-- An incarnation of '' stands for any log.
local function is_another_log(incarnation)
  return incarnation ~= '' and incarnation ~= (redis.call('HGET', KEYS[1], 'incarnation') or '')
end
