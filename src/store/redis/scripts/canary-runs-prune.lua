#!lua flags=allow-oom
-- Deletes runs of canaries before a time, the oldest of all first, by canary where they are of one time.
--
-- KEYS  [1] the lease; [2] the index of oldest runs; [3] what the keys of canaries' runs begin with
-- ARGV  [1] holder, [2] term of the fence; [3] the time; [4] runs at most
-- returns {'ok', runs deleted} | {'fenced', holder, term} | {'corrupt', canary, entry}

local refused = fenced(KEYS[1], ARGV[1], ARGV[2])
if refused then return refused end

local before, left = tonumber(ARGV[3]), tonumber(ARGV[4])
local deleted = 0
while deleted < left do
  local first = redis.call('ZRANGE', KEYS[2], 0, 1, 'WITHSCORES')
  if #first == 0 or tonumber(first[2]) >= before then break end
  -- This canary's turn lasts until another one has the oldest run.
  local bound = math.min(before, tonumber(first[4] or ARGV[3]))
  local key = rowkey(KEYS[3], first[1])
  local count, step, entries, at, head = 0, 2, {}, 1, nil
  while true do
    if at > #entries then
      entries, at = redis.call('LRANGE', key, count, count + step - 1), 1
      step = math.min(step * 2, 256)
      if #entries == 0 then break end
    end
    local time = tonumber(string.match(entries[at], '^(%-?%d+)[pfe]'))
    if not time then return { 'corrupt', first[1], string.sub(entries[at], 1, 100) } end
    if deleted + count == left or time >= bound and not (count == 0 and time < before) then
      head = time
      break
    end
    count, at = count + 1, at + 1
  end
  redis.call('LTRIM', key, count, -1)
  if head then
    redis.call('ZADD', KEYS[2], int(head), first[1])
  else
    redis.call('ZREM', KEYS[2], first[1])
  end
  deleted = deleted + count
end
return { 'ok', int(deleted) }
