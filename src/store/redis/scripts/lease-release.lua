#!lua flags=allow-oom
-- Gives a lease back. The row stays, so that no number is ever given twice.
--
-- KEYS  [1] the lease
-- ARGV  [1] holder; [2] term
-- returns 1, or 0 where it was not held

if fenced(KEYS[1], ARGV[1], ARGV[2]) then return 0 end
redis.call('HDEL', KEYS[1], 'holder')
return 1
