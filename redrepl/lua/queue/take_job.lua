-- Take a job off the queue's books, or only look at it. Its size is looked at here: whoever asks gets no more than it
-- allows. A job that is taken is forgotten by itself after a while, whatever becomes of the worker.
-- Keys:      the job's hash
-- Arguments: seconds after which a job that is taken is forgotten (0: it is only looked at), bytes that a field may have
-- Answers:   nothing where there is no such job; a text where it is none that could run; else {its packed arguments,
--            what was noted beside them, when it was queued}

local seconds, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return false end
if seconds > 0 then redis.call('EXPIRE', KEYS[1], seconds) end
if kind ~= 'hash' then return 'it is no job of RQ' end
for _, field in ipairs({'data', 'meta', 'enqueued_at'}) do
  if redis.call('HSTRLEN', KEYS[1], field) > most then return 'it is too large' end
end
local found = redis.call('HMGET', KEYS[1], 'data', 'meta', 'enqueued_at')
if not found[1] then return 'it is no job of RQ' end
if seconds > 0 then redis.call('HSET', KEYS[1], 'status', 'started') end
return found
