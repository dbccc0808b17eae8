#!lua flags=allow-oom
-- Forgets a sink's cursor of one index, or all of them.
--
-- KEYS  [1] the lease; [2] the index of sinks; [3] the sink's cursors
-- ARGV  [1] holder, [2] term of the fence; [3] the sink; [4] the index, or '' for all
-- returns {'ok', cursors that went} | {'fenced', holder, term}

local refused = fenced(KEYS[1], ARGV[1], ARGV[2])
if refused then return refused end

local count
if ARGV[4] == '' then
  count = redis.call('HLEN', KEYS[3])
  redis.call('UNLINK', KEYS[3])
else
  count = redis.call('HDEL', KEYS[3], ARGV[4])
end
if redis.call('EXISTS', KEYS[3]) == 0 then redis.call('ZREM', KEYS[2], ARGV[3]) end
return { 'ok', int(count) }
