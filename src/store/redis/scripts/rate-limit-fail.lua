#!lua
-- Records a failure to log in, unless the source is locked out. Mirrors addLoginFailure of rate-limit-rules.ts.
--
-- KEYS  [1] failures to log in: `<failures>:<locked_until>`
-- ARGV  [1] time or ''; [2] milliseconds for which failures are remembered after the lock-out;
--       [3] the lock-out of the first failure in milliseconds, [4] of the second …; further ones are as long as the last
-- returns {'locked', milliseconds left} | {'corrupt', '1'}

local at, memory = now(ARGV[1]), tonumber(ARGV[2])
local failures = 0
local stored = redis.call('GET', KEYS[1])
if stored then
  local count, locked = string.match(stored, '^(%d+):(%d+)$')
  if not count then return { 'corrupt', '1' } end
  if tonumber(locked) > at then return { 'locked', int(tonumber(locked) - at) } end
  if tonumber(locked) + memory > at then failures = tonumber(count) end
end
failures = failures + 1
local backoff = tonumber(ARGV[math.min(failures + 2, #ARGV)])
redis.call('SET', KEYS[1], int(failures) .. ':' .. int(at + backoff), 'PX', int(backoff + memory))
return { 'locked', int(backoff) }
