-- Part: what the change log named last under some keys. Included parts: position, log.

-- Entries in one answer of XREVRANGE: an entry of a batch names hundreds of keys.
local LOOK_BACK_PAGE = 64

-- Whether the log still has every entry after a place, and is the one in which the place is so many entries from its
-- beginning: `seen` are after it.
local function is_whole_after(id, count, seen)
  local floor = redis.call('HGET', KEYS[1], 'log_floor')
  if floor and is_later_id(floor, id) then return false end
  return entries_added() == tonumber(count) + seen
end

-- Look back in the log from its end to a place (nil: none is known), over so many names at most. Answers the newest
-- stamp by name of KEYS[first..], and whether the log is known to name no others of them after the place.
local function look_back(first, id, count, most)
  local wanted, missing, newest, seen, looked_at, before = {}, 0, {}, 0, 0, '+'
  for place = first, #KEYS do
    if not wanted[KEYS[place]] then wanted[KEYS[place]], missing = true, missing + 1 end
  end
  while missing > 0 do
    local page = redis.call('XREVRANGE', KEYS[2], before, '-', 'COUNT', LOOK_BACK_PAGE)
    for _, entry in ipairs(page) do
      if id and not is_later_id(entry[1], id) then return newest, is_whole_after(id, count, seen) end
      local fields = entry[2]
      seen, looked_at, before = seen + 1, looked_at + #fields / 2, '(' .. entry[1]
      if looked_at > most then return newest, false end
      for index = #fields - 1, 1, -2 do
        if wanted[fields[index]] then
          newest[fields[index]], wanted[fields[index]], missing = fields[index + 1], false, missing - 1
        end
      end
    end
    if #page < LOOK_BACK_PAGE then return newest, id and is_whole_after(id, count, seen) or false end
  end
  return newest, false
end
