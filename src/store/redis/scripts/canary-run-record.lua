#!lua
-- Records a run of a canary in the order of time, in place of one of the same time, and forgets the oldest.
--
-- KEYS  [1] the lease; [2] the canary; [3] its runs; [4] the index of oldest runs
-- ARGV  [1] holder, [2] term of the fence; [3] the canary's id; [4] when it ran; [5] the run as an entry of the
--       list: its time, a letter, and what else there is; [6] runs that stay
-- returns {'ok'} | {'fenced', holder, term} | {'unknown'} | {'corrupt', entry}

local refused = fenced(KEYS[1], ARGV[1], ARGV[2])
if refused then return refused end
if redis.call('EXISTS', KEYS[2]) == 0 then return { 'unknown' } end

local function time_of(entry)
  return tonumber(string.match(entry, '^(%-?%d+)[pfe]'))
end

-- The first run that is not older, usually none.
local at = tonumber(ARGV[4])
local count = redis.call('LLEN', KEYS[3])
local low, high, pivot = 0, count, nil
local probe = count - 1
while low < high do
  local entry = redis.call('LINDEX', KEYS[3], probe)
  local time = time_of(entry)
  if not time then return { 'corrupt', string.sub(entry, 1, 100) } end
  if time < at then
    low = probe + 1
  else
    high, pivot = probe, entry
  end
  probe = math.floor((low + high) / 2)
end

if not pivot then
  redis.call('RPUSH', KEYS[3], ARGV[5])
elseif time_of(pivot) == at then
  redis.call('LSET', KEYS[3], low, ARGV[5])
else
  redis.call('LINSERT', KEYS[3], 'BEFORE', pivot, ARGV[5])
end
local excess = redis.call('LLEN', KEYS[3]) - tonumber(ARGV[6])
if excess > 0 then redis.call('LTRIM', KEYS[3], excess, -1) end

local head = redis.call('LINDEX', KEYS[3], 0)
local oldest = head and time_of(head)
if oldest then
  redis.call('ZADD', KEYS[4], int(oldest), ARGV[3])
elseif not head then
  redis.call('ZREM', KEYS[4], ARGV[3])
end
return { 'ok' }
