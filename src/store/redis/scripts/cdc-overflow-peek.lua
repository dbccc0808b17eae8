#!lua flags=no-writes
-- Reads the oldest events of a sink's queue.
--
-- KEYS  [1] the queue's counts; [2] its payloads
-- ARGV  [1] events at most; [2] bytes of them together at most, unless the first one has more
-- returns {'ok', position of the first, payloads} | {'corrupt', what}

if redis.call('EXISTS', KEYS[1]) == 0 then return { 'ok', '0' } end
local counts = redis.call('HMGET', KEYS[1], 'next_position', 'events')
for i = 1, 2 do
  counts[i] = counts[i] and string.match(counts[i], '^%d+$') and tonumber(counts[i])
  if not counts[i] then return { 'corrupt', 'a count is no number' } end
end
local position, events = unpack(counts)
if redis.call('LLEN', KEYS[2]) ~= events then
  return { 'corrupt', 'its events are not those that were counted' }
end

local reply = { 'ok', int(position - events) }
local limit, room, at = math.min(tonumber(ARGV[1]), events), tonumber(ARGV[2]), 0
while at < limit do
  -- In small steps, so that large events are not all read before they are counted.
  local some = redis.call('LRANGE', KEYS[2], at, math.min(at + 16, limit) - 1)
  for _, payload in ipairs(some) do
    room = room - #payload
    if room < 0 and at > 0 then return reply end
    reply[#reply + 1] = payload
    at = at + 1
  end
end
return reply
