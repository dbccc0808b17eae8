#!lua
-- Gives a job back: queued at its place, with one attempt more; canceled where that was asked for.
--
-- KEYS  [1] the table; [2] the job
-- ARGV  [1] time or ''; [2] holder, [3] attempt of the claim
-- returns the row as field, value, …; nil where the claim is no longer the holder's

local job = row(KEYS[2])
if not held(job, ARGV[2], ARGV[3]) then return nil end
local at = now(ARGV[1])
if job.cancel_requested == '1' then return change(KEYS[1], job, finished('canceled', at)) end
local fields = requeued(at)
fields.max_attempts = int(tonumber(job.max_attempts) + 1)
-- The clock may have been set back since the claim.
fields.run_after = int(math.min(tonumber(job.run_after), at))
return change(KEYS[1], job, fields)
