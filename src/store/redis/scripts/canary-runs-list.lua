#!lua flags=no-writes
-- Reads runs of a canary, newest first: as many as are asked for, at most a thousand, and no more after 4 MiB.
--
-- KEYS  [1] the runs, oldest first
-- ARGV  [1] only those before this time, or ''; [2] runs at most
-- returns {'end' where no older ones are left, else 'more'; entries} | {'corrupt', entry}

local function time_of(entry)
  return tonumber(string.match(entry, '^(%-?%d+)[pfe]'))
end

local low, high = 0, redis.call('LLEN', KEYS[1])
if ARGV[1] == '' then
  low = high
else
  local before = tonumber(ARGV[1])
  while low < high do
    local probe = math.floor((low + high) / 2)
    local entry = redis.call('LINDEX', KEYS[1], probe)
    local time = time_of(entry)
    if not time then return { 'corrupt', string.sub(entry, 1, 100) } end
    if time < before then low = probe + 1 else high = probe end
  end
end

-- In small steps, so that large entries are not all read before they are counted.
local limit, bytes = math.min(tonumber(ARGV[2]), 1000), 0
local reply = { 'more' }
while low > 0 and #reply - 1 < limit and bytes < 4194304 do
  local first = math.max(0, low - math.min(16, limit - #reply + 1))
  local entries = redis.call('LRANGE', KEYS[1], first, low - 1)
  for i = #entries, 1, -1 do
    reply[#reply + 1] = entries[i]
    bytes = bytes + #entries[i]
  end
  low = first
end
if low == 0 then reply[1] = 'end' end
return reply
