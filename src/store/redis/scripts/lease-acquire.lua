#!lua
-- Takes a lease if it is free, released or expired; the live holder keeps it, and its number.
--
-- KEYS  [1] the lease; [2] the index of leases
-- ARGV  [1] time or ''; [2] holder; [3] milliseconds that it lasts; [4] the number to go above; [5] the lease's scope
-- returns {term, expires_at}; nil while somebody else holds it; 'exhausted' where no higher number is exact

local at = now(ARGV[1])
local lease = redis.call('HMGET', KEYS[1], 'holder', 'term', 'expires_at')
local term, above = tonumber(lease[2] or '0'), tonumber(ARGV[4])
local live = lease[1] and tonumber(lease[3]) > at
if live and lease[1] ~= ARGV[2] then return nil end
if not (live and term > above) then term = math.max(term, above) + 1 end
if term > 9007199254740991 then return 'exhausted' end
local expires = int(at + tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], 'scope', ARGV[5], 'holder', ARGV[2], 'term', int(term), 'expires_at', expires)
redis.call('ZADD', KEYS[2], 0, ARGV[5])
return { int(term), expires }
