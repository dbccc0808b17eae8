#!lua flags=allow-oom
-- Deletes runs of canaries before a time, the oldest of all first, by canary where they are of one time.
--
-- KEYS  [1] the lease; [2] the index of oldest runs; [3] what the keys of canaries' runs begin with
-- ARGV  [1] holder, [2] term of the fence; [3] the time; [4] runs at most
-- returns {'ok', runs deleted} | {'fenced', holder, term} | {'corrupt', canary, entry}

local refused = fenced(KEYS[1], ARGV[1], ARGV[2])
if refused then return refused end

local max_canaries, page_size = 256, 64

-- Names are compared byte by byte, as the index does: `<` goes by the server's locale.
local function is_earlier(a, b)
  if a.time ~= b.time then return a.time < b.time end
  for i = 1, math.min(#a.id, #b.id) do
    local x, y = string.byte(a.id, i), string.byte(b.id, i)
    if x ~= y then return x < y end
  end
  return #a.id < #b.id
end

-- Moves the first of a heap to where it belongs.
local function sink(heap)
  local at = 1
  while 2 * at <= #heap do
    local child = 2 * at
    if child < #heap and is_earlier(heap[child + 1], heap[child]) then child = child + 1 end
    if not is_earlier(heap[child], heap[at]) then return end
    heap[at], heap[child] = heap[child], heap[at]
    at = child
  end
end

-- The canary's run behind those to be deleted, as its time; infinity where there is none, nil where it is none.
local function time_after(canary)
  local at = canary.count - canary.read + 1
  if at > #canary.page then
    canary.page = redis.call('LRANGE', canary.key, canary.count, canary.count + page_size - 1)
    canary.read, at = canary.count, 1
  end
  local entry = canary.page[at]
  if not entry then return math.huge end
  return tonumber(string.match(entry, '^(%-?%d+)[pfe]')), entry
end

local before, left = tonumber(ARGV[3]), tonumber(ARGV[4])
local total = 0
repeat
  -- In the order of their oldest runs, which is a heap already.
  local some = redis.call('ZRANGE', KEYS[2], '-inf', '(' .. ARGV[3], 'BYSCORE', 'LIMIT', 0, max_canaries + 1,
    'WITHSCORES')
  local heap, canaries, bound, deleted = {}, {}, before, 0
  for i = 1, math.min(#some, 2 * max_canaries), 2 do
    local canary = { id = some[i], time = tonumber(some[i + 1]), key = rowkey(KEYS[3], some[i]) }
    canary.count, canary.page, canary.read = 0, {}, 0
    heap[#heap + 1], canaries[#canaries + 1] = canary, canary
  end
  -- Beyond the last one's time, canaries that were not read have a say.
  if #some > 2 * max_canaries then bound = tonumber(some[2 * max_canaries + 2]) end

  while heap[1] and total + deleted < left do
    local canary = heap[1]
    if canary.time >= bound and (canary.time >= before or deleted > 0) then break end
    if canary.count == 0 then
      -- The index may be behind: the list decides.
      local time, entry = time_after(canary)
      if not time then return { 'corrupt', canary.id, string.sub(entry, 1, 100) } end
      canary.time = time
    end
    if canary.time < before then
      canary.count, deleted = canary.count + 1, deleted + 1
      local time, entry = time_after(canary)
      if not time then return { 'corrupt', canary.id, string.sub(entry, 1, 100) } end
      canary.time = time
    end
    canary.touched = true
    sink(heap)
  end

  for _, canary in ipairs(canaries) do
    if canary.touched then
      redis.call('LTRIM', canary.key, canary.count, -1)
      if canary.time == math.huge then
        redis.call('ZREM', KEYS[2], canary.id)
      else
        redis.call('ZADD', KEYS[2], int(canary.time), canary.id)
      end
    end
  end
  total = total + deleted
until #some == 0 or total >= left
return { 'ok', int(total) }
