#!lua
-- Moves cursors forward; what is not ahead of the recorded one is ignored.
--
-- KEYS  [1] the lease; [2] the index of sinks; then the cursors of each sink
-- ARGV  [1] holder, [2] term of the fence; then for each cursor: index of its sink into KEYS, sink, index,
--       last event, time. Both numbers are below 2^53, where Lua's own are exact; they are stored as they came.
-- returns {'ok'} | {'fenced', holder, term} | {'corrupt', sink, index, value}

local refused = fenced(KEYS[1], ARGV[1], ARGV[2])
if refused then return refused end

for i = 3, #ARGV, 5 do
  local value = redis.call('HGET', KEYS[tonumber(ARGV[i])], ARGV[i + 2])
  if value and not string.match(value, '^%d+:%-?%d+$') then
    return { 'corrupt', ARGV[i + 1], ARGV[i + 2], string.sub(value, 1, 100) }
  end
end
for i = 3, #ARGV, 5 do
  local key, index = KEYS[tonumber(ARGV[i])], ARGV[i + 2]
  local seq, at = tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
  local value = redis.call('HGET', key, index)
  local ahead = true
  if value then
    local recorded, recorded_at = string.match(value, '^(%d+):(%-?%d+)$')
    recorded, recorded_at = tonumber(recorded), tonumber(recorded_at)
    ahead = seq > recorded or seq == recorded and at > recorded_at
  end
  if ahead then
    redis.call('HSET', key, index, ARGV[i + 3] .. ':' .. ARGV[i + 4])
    redis.call('ZADD', KEYS[2], 0, ARGV[i + 1])
  end
end
return { 'ok' }
