#!lua flags=no-writes
-- Reads a row that has not ended; it does not count as used.
--
-- KEYS  see prelude-lru.lua
-- ARGV  [1] time or ''
-- returns its fields and values in turn, or nil

if not live(now(ARGV[1])) then return nil end
return redis.call('HGETALL', KEYS[1])
