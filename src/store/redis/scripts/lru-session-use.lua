#!lua
-- Extends a session's life by a use.
--
-- KEYS  see prelude-lru.lua
-- ARGV  [1] time or ''; [2] id; [3] milliseconds that it lasts from now
-- returns its fields and values in turn, or nil where there is none or it ended

local at = now(ARGV[1])
if not live(at) then return nil end
mark(ARGV[2], at, tonumber(ARGV[3]), {})
return redis.call('HGETALL', KEYS[1])
