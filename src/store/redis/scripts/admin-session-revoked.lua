#!lua flags=no-writes
-- Reads revocations after one, as they are at one moment; all of them where the numbers have begun anew.
--
-- KEYS  [1] revocations by number: `<expires_at>:<id>`; [2] the last number
-- ARGV  [1] the number known last; [2] the number after which to read; [3] revocations at most
-- returns {the last number, entries and numbers in turn}

local last = redis.call('GET', KEYS[2]) or '0'
local after = ARGV[2]
if tonumber(last) < tonumber(ARGV[1]) then after = '0' end
return { last, redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3]) }
