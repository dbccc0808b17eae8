#!lua flags=allow-oom
-- Forgets sessions that have ended.
--
-- KEYS  [1] the lease; [2] sessions by the time at which they end; [3] what the rows' keys begin with
-- ARGV  [1] time or ''; [2] holder, [3] term of the fence; [4] sessions at most
-- returns {'ok', how many} | {'fenced', holder, term}

local refused = fenced(KEYS[1], ARGV[2], ARGV[3])
if refused then return refused end
local ended = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', int(now(ARGV[1])), 'LIMIT', 0, ARGV[4])
for _, id in ipairs(ended) do redis.call('DEL', rowkey(KEYS[3], id)) end
-- They are the lowest ones.
if #ended > 0 then redis.call('ZREMRANGEBYRANK', KEYS[2], 0, #ended - 1) end
return { 'ok', #ended }
