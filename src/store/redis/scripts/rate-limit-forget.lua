#!lua flags=allow-oom
-- Forgets the attempts and failures of a source.
--
-- KEYS  [1] the counter; [2] failures to log in
-- returns 1

redis.call('DEL', KEYS[1], KEYS[2])
return 1
