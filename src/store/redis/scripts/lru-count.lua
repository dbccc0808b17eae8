#!lua flags=no-writes
-- Counts the rows that have not ended.
--
-- KEYS  see prelude-lru.lua; [1] is not looked at
-- ARGV  [1] time or ''
-- returns their number

return redis.call('ZCOUNT', KEYS[2], '(' .. int(now(ARGV[1])), '+inf')
