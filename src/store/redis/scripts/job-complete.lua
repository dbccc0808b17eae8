#!lua
-- Finishes a job that was done.
--
-- KEYS  [1] the table; [2] the job
-- ARGV  [1] time or ''; [2] holder, [3] attempt of the claim; [4] progress, if any
-- returns the row as field, value, …; nil where the claim is no longer the holder's

local job = row(KEYS[2])
if not held(job, ARGV[2], ARGV[3]) then return nil end
local fields = finished('completed', now(ARGV[1]))
fields.progress_json = ARGV[4]
return change(KEYS[1], job, fields)
