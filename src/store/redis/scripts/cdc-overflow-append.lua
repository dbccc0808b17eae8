#!lua
-- Appends events to a sink's queue, and drops the oldest where they do not fit any more.
--
-- KEYS  [1] the lease; [2] the queue's counts; [3] its payloads; [4] for each, the bytes before it; [5] the index
--       of sinks
-- ARGV  [1] holder, [2] term of the fence; [3] the sink; [4] bytes that the queue holds at most;
--       [5] events and [6] bytes in front of the appended ones that do not fit by themselves: with them everything
--       that waits goes; then the payloads, which fit together
-- returns {'ok', events, bytes, dropped events, dropped bytes} | {'fenced', holder, term} | {'corrupt', what}

local refused = fenced(KEYS[1], ARGV[1], ARGV[2])
if refused then return refused end

local counts = { 1, 0, 0, 0, 0 }
local stored = redis.call('HMGET', KEYS[2], 'next_position', 'events', 'bytes', 'dropped_events', 'dropped_bytes')
local used = redis.call('EXISTS', KEYS[2]) == 1
if used then
  for i = 1, 5 do
    counts[i] = stored[i] and string.match(stored[i], '^%d+$') and tonumber(stored[i])
    if not counts[i] then return { 'corrupt', 'a count is no number' } end
  end
end
local position, events, bytes, dropped, dropped_bytes = unpack(counts)
if redis.call('LLEN', KEYS[3]) ~= events or redis.call('LLEN', KEYS[4]) ~= events then
  return { 'corrupt', 'its events are not those that were counted' }
end

local skipped, added = tonumber(ARGV[5]), 0
for i = 7, #ARGV do added = added + #ARGV[i] end

-- How many of those that wait go, and how many bytes they have.
local base = 0
if events > 0 then base = tonumber(redis.call('LINDEX', KEYS[4], 0)) end
if not base then return { 'corrupt', 'an offset is no number' } end
local gone, freed = 0, 0
if skipped > 0 then
  gone, freed = events, bytes
else
  local needed = bytes + added - tonumber(ARGV[4])
  local low, high = 0, events
  freed = needed > 0 and bytes or 0
  while needed > 0 and low < high do
    local probe = math.floor((low + high) / 2)
    local offset = tonumber(redis.call('LINDEX', KEYS[4], probe))
    if not offset then return { 'corrupt', 'an offset is no number' } end
    if offset - base >= needed then
      high, freed = probe, offset - base
    else
      low = probe + 1
    end
  end
  if needed > 0 then gone = low end
end

if gone > 0 and gone == events then
  redis.call('UNLINK', KEYS[3], KEYS[4])
  base = 0
elseif gone > 0 then
  redis.call('LTRIM', KEYS[3], gone, -1)
  redis.call('LTRIM', KEYS[4], gone, -1)
  base = base + freed
end

local offset, first = base + bytes - freed, 7
while first <= #ARGV do
  local last = math.min(first + 3999, #ARGV)
  local offsets = {}
  for i = first, last do
    offsets[#offsets + 1] = int(offset)
    offset = offset + #ARGV[i]
  end
  redis.call('RPUSH', KEYS[3], unpack(ARGV, first, last))
  redis.call('RPUSH', KEYS[4], unpack(offsets))
  first = last + 1
end

local kept = #ARGV - 6
events, bytes = events - gone + kept, bytes - freed + added
dropped, dropped_bytes = dropped + gone + skipped, dropped_bytes + freed + tonumber(ARGV[6])
if used or kept + skipped > 0 then
  redis.call('HSET', KEYS[2], 'sink', ARGV[3], 'next_position', int(position + skipped + kept), 'events', int(events),
    'bytes', int(bytes), 'dropped_events', int(dropped), 'dropped_bytes', int(dropped_bytes))
  redis.call('ZADD', KEYS[5], 0, ARGV[3])
end
return { 'ok', int(events), int(bytes), int(dropped), int(dropped_bytes) }
