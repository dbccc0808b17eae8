#!lua
-- Extends a claim.
--
-- KEYS  [1] the table; [2] the job
-- ARGV  [1] time or ''; [2] holder, [3] attempt of the claim; [4] milliseconds that it lasts; [5] progress, if any
-- returns the row as field, value, …; nil where the claim is no longer the holder's

local job = row(KEYS[2])
if not held(job, ARGV[2], ARGV[3]) then return nil end
local at = now(ARGV[1])
return change(KEYS[1], job, {
  claim_expires_at = int(at + tonumber(ARGV[4])), progress_json = ARGV[5], updated_at = int(at),
})
