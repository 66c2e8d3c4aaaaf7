-- Part: the change log.

-- Entries ever added to it, 0 where there is none.
local function entries_added()
  if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
  local information = redis.call('XINFO', 'STREAM', KEYS[2])
  for index = 1, #information, 2 do
    if information[index] == 'entries-added' then return information[index + 1] end
  end
end
