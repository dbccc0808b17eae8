#!lua flags=allow-oom
-- Takes the events up to a position out of a sink's queue.
--
-- KEYS  [1] the lease; [2] the queue's counts; [3] its payloads; [4] for each, the bytes before it; [5] the index of
--       sinks, which stays: positions and losses are remembered
-- ARGV  [1] holder, [2] term of the fence; [3] the position
-- returns {'ok', events that went} | {'fenced', holder, term} | {'corrupt', what}

local refused = fenced(KEYS[1], ARGV[1], ARGV[2])
if refused then return refused end

if redis.call('EXISTS', KEYS[2]) == 0 then return { 'ok', '0' } end
local counts = redis.call('HMGET', KEYS[2], 'next_position', 'events', 'bytes')
for i = 1, 3 do
  counts[i] = counts[i] and string.match(counts[i], '^%d+$') and tonumber(counts[i])
  if not counts[i] then return { 'corrupt', 'a count is no number' } end
end
local position, events, bytes = unpack(counts)
if redis.call('LLEN', KEYS[3]) ~= events or redis.call('LLEN', KEYS[4]) ~= events then
  return { 'corrupt', 'its events are not those that were counted' }
end

local first, last = position - events, math.min(tonumber(ARGV[3]), position - 1)
local count = last - first + 1
if count <= 0 then return { 'ok', '0' } end
if count == events then
  redis.call('UNLINK', KEYS[3], KEYS[4])
  bytes = 0
else
  local base = tonumber(redis.call('LINDEX', KEYS[4], 0))
  local offset = tonumber(redis.call('LINDEX', KEYS[4], count))
  if not base or not offset then return { 'corrupt', 'an offset is no number' } end
  redis.call('LTRIM', KEYS[3], count, -1)
  redis.call('LTRIM', KEYS[4], count, -1)
  bytes = bytes - (offset - base)
end
redis.call('HSET', KEYS[2], 'events', int(events - count), 'bytes', int(bytes))
return { 'ok', int(count) }
