#!lua
-- Queues a job, unless its id is recorded already.
--
-- KEYS  [1] the lease of the fence; [2] the table; [3] the job
-- ARGV  [1] time or ''; [2] holder, [3] term of the fence; [4] id; [5] type; [6] parameters; [7] attempts that it may
--       have; [8] milliseconds to wait
-- returns 1, 0 where the id is recorded, or {'fenced', holder, term}

local refused = fenced(KEYS[1], ARGV[2], ARGV[3])
if refused then return refused end
if redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
local at = now(ARGV[1])
local job = {
  id = ARGV[4], type = ARGV[5], params_json = ARGV[6], state = 'queued', progress_json = '{}', attempts = '0',
  max_attempts = ARGV[7], run_after = int(at + tonumber(ARGV[8])), cancel_requested = '0',
  created_at = int(at), updated_at = int(at),
}
for name, value in pairs(job) do redis.call('HSET', KEYS[3], name, value) end
index(KEYS[2], job)
return 1
