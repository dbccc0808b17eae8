#!lua
-- Cancels a queued job, asks the holder of one in progress to stop, and leaves a finished one alone.
--
-- KEYS  [1] the lease of the fence; [2] the table; [3] the job
-- ARGV  [1] time or ''; [2] holder, [3] term of the fence
-- returns the row as field, value, …; nil where there is none; {'fenced', holder, term}

local refused = fenced(KEYS[1], ARGV[2], ARGV[3])
if refused then return refused end
local job = row(KEYS[3])
if not job then return nil end
local at = now(ARGV[1])
if job.state == 'queued' then
  local fields = finished('canceled', at)
  fields.cancel_requested = '1'
  return change(KEYS[2], job, fields)
end
if job.state == 'in_progress' and job.cancel_requested ~= '1' then
  redis.call('HSET', KEYS[3], 'cancel_requested', '1', 'updated_at', int(at))
end
return redis.call('HGETALL', KEYS[3])
