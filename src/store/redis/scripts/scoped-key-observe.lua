#!lua
-- Records that a proxy uses a generation of an index's key, or a later one.
--
-- KEYS  [1] generations by proxy; [2] proxies by the time at which they are forgotten
-- ARGV  [1] time or ''; [2] proxy; [3] generation; [4] milliseconds that it counts; [5] proxies at most
-- returns 1, or 0 where too many others are observed

local at, proxy = now(ARGV[1]), ARGV[2]
for _, ended in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', int(at), 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[2], ended)
  redis.call('HDEL', KEYS[1], ended)
end

local ends, generation = at + tonumber(ARGV[4]), tonumber(ARGV[3])
local known = redis.call('ZSCORE', KEYS[2], proxy)
if known and tonumber(known) > at then
  generation = math.max(generation, generationof(KEYS[1], proxy))
  ends = math.max(ends, tonumber(known))
elseif redis.call('ZCOUNT', KEYS[2], '(' .. int(at), '+inf') >= tonumber(ARGV[5]) then
  return 0
end
redis.call('ZADD', KEYS[2], int(ends), proxy)
redis.call('HSET', KEYS[1], proxy, int(generation))
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]
local life = int(tonumber(last) - at)
redis.call('PEXPIRE', KEYS[1], life)
redis.call('PEXPIRE', KEYS[2], life)
return 1
