#!lua flags=no-writes
-- Reads what proxies use of an index's key, without what is forgotten.
--
-- KEYS  [1] generations by proxy; [2] proxies by the time at which they are forgotten
-- ARGV  [1] time or ''
-- returns proxies and generations in turn

local observed = {}
for _, proxy in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. int(now(ARGV[1])), '+inf')) do
  observed[#observed + 1] = proxy
  observed[#observed + 1] = redis.call('HGET', KEYS[1], proxy)
end
return observed
