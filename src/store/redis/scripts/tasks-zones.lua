#!lua flags=no-writes
-- Finds the zones of consecutive uids in which a task's times can lie within bounds.
--
-- KEYS  [1] the hash of what groups of zones sum up; the hash of one group's zones is this, ':' and its number
-- ARGV  [1] 'REV' for the newest first, '' for the oldest first; [2] the zone to start from, '' for the first
--       [3] how many; [4] zones of a group
--       [5..10] bounds that times of enqueuing, starting and finishing lie strictly between, '' for none
-- returns the numbers of the zones, in order

local newest = ARGV[1] == 'REV'
local from = tonumber(ARGV[2])
local limit, size = tonumber(ARGV[3]), tonumber(ARGV[4])
local bounds = {}
for i = 5, 10 do bounds[i - 4] = tonumber(ARGV[i]) end

-- A zone is text: how many tasks it has, then the lowest and the highest of each time.
local function matches(text)
  local i = -1
  for part in string.gmatch(text .. ',', '([^,]*),') do
    i = i + 1
    local value = tonumber(part)
    if i % 2 == 1 then
      local before = bounds[i + 1]
      if before and not (value and value < before) then return false end
    elseif i > 0 then
      local after = bounds[i - 1]
      if after and not (value and value > after) then return false end
    end
  end
  return true
end

local function numbers(key, start)
  local flat = redis.call('HGETALL', key)
  local found = {}
  for i = 1, #flat, 2 do
    local number = tonumber(flat[i])
    local reached = not start or newest and number <= start or not newest and number >= start
    if reached and matches(flat[i + 1]) then found[#found + 1] = number end
  end
  table.sort(found, newest and function(a, b) return a > b end or nil)
  return found
end

local zones = {}
for _, group in ipairs(numbers(KEYS[1], from and math.floor(from / size))) do
  for _, zone in ipairs(numbers(KEYS[1] .. ':' .. int(group), from)) do
    if #zones == limit then return zones end
    zones[#zones + 1] = int(zone)
  end
  if #zones == limit then return zones end
end
return zones
