#!lua
-- Extends a lease, unless it expired or somebody else took it.
--
-- KEYS  [1] the lease
-- ARGV  [1] time or ''; [2] holder; [3] term; [4] milliseconds that it lasts
-- returns expires_at, or nil where it was lost

local at = now(ARGV[1])
if fenced(KEYS[1], ARGV[2], ARGV[3]) then return nil end
if tonumber(redis.call('HGET', KEYS[1], 'expires_at')) <= at then return nil end
local expires = int(at + tonumber(ARGV[4]))
redis.call('HSET', KEYS[1], 'expires_at', expires)
return expires
