#!lua
-- Reserves consecutive task uids above every recorded task.
--
-- KEYS  [1] lease; [2] the next uid; [3] the sorted set of all uids
-- ARGV  [1] holder; [2] term; [3] how many; [4] the highest uid there may be
-- returns {'ok', first} | {'fenced', holder, term} | {'exhausted'}

local refused = fenced(KEYS[1], ARGV[1], ARGV[2])
if refused then return refused end

local next = tonumber(redis.call('GET', KEYS[2]) or '0')
local newest = redis.call('ZRANGE', KEYS[3], -1, -1)[1]
if newest and tonumber(newest) >= next then next = tonumber(newest) + 1 end
if next + tonumber(ARGV[3]) > tonumber(ARGV[4]) then return { 'exhausted' } end
redis.call('SET', KEYS[2], int(next + tonumber(ARGV[3])))
return { 'ok', int(next) }
