#!lua
-- Retires the key before the present one, if no proxy may still use it. Mirrors decideRetirement of
-- scoped-key-rotation.ts.
--
-- KEYS  [1] the lease; [2] the row; [3] generations by proxy; [4] proxies by the time at which they are forgotten
-- ARGV  [1] time or ''; [2] holder, [3] term of the fence; [4] generation of the key to stay; then the proxies that live
-- returns {'retired', uid} | {'waiting', proxy …} in no order | {'nothing-to-retire'} | {'fenced', holder, term}

local refused = fenced(KEYS[1], ARGV[2], ARGV[3])
if refused then return refused end
local key = redis.call('HMGET', KEYS[2], 'generation', 'previous_uid')
if key[1] ~= ARGV[4] or not key[2] then return { 'nothing-to-retire' } end

local generation, current = tonumber(ARGV[4]), {}
local reply, listed = { 'waiting' }, {}
local function wait(proxy)
  if not listed[proxy] then
    listed[proxy] = true
    reply[#reply + 1] = proxy
  end
end

for _, proxy in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '(' .. int(now(ARGV[1])), '+inf')) do
  if generationof(KEYS[3], proxy) >= generation then
    current[proxy] = true
  else
    wait(proxy)
  end
end
for i = 5, #ARGV do
  if not current[ARGV[i]] then wait(ARGV[i]) end
end
if #reply > 1 then return reply end
redis.call('HDEL', KEYS[2], 'previous_uid')
return { 'retired', key[2] }
