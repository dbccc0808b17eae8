#!lua
-- Ends a failed attempt: the job is canceled where that was asked for, queued again where it may be repeated, else
-- failed.
--
-- KEYS  [1] the table; [2] the job
-- ARGV  [1] time or ''; [2] holder, [3] attempt of the claim; [4] the error; [5] '1' where it is to be repeated;
--       [6] milliseconds before that
-- returns the row as field, value, …; nil where the claim is no longer the holder's

local job = row(KEYS[2])
if not held(job, ARGV[2], ARGV[3]) then return nil end
local at = now(ARGV[1])
local fields
if job.cancel_requested == '1' then
  fields = finished('canceled', at)
elseif ARGV[5] ~= '1' or tonumber(job.attempts) >= tonumber(job.max_attempts) then
  fields = finished('failed', at)
else
  fields = requeued(at)
  fields.run_after = int(at + tonumber(ARGV[6]))
end
fields.error = ARGV[4]
return change(KEYS[1], job, fields)
