#!lua flags=no-writes
-- Reads a page of the tasks whose uids are in any of several sorted sets, which share no member, in one snapshot
-- with how many there are.
--
-- KEYS  [1] the hash of counts by kind; [2] the table, which begins the keys of rows; [3..] sorted sets
-- ARGV  [1] 'kinds' to take the sorted sets of the kinds that match, 'sets' to take those of KEYS
--       [2] what begins the keys of kinds
--       [3] 'REV' for the newest first, '' for the oldest first; [4] the uid to start from, '' for the first
--       [5] tasks of the page
--       [6..] for kinds: statuses, types and escaped indexes, each: how many, -1 for any, and the values
-- returns {how many match, the uid behind the page or '', uid, fields and values, uid, …}

local newest = ARGV[3] == 'REV'
local limit = tonumber(ARGV[5])

local sets, total = {}, 0
if ARGV[1] == 'kinds' then
  local at = 6
  local function wanted()
    local count = tonumber(ARGV[at])
    at = at + 1
    if count < 0 then return nil end
    local values = {}
    for i = at, at + count - 1 do values[ARGV[i]] = true end
    at = at + count
    return values
  end
  local statuses, types, indexes = wanted(), wanted(), wanted()
  local counts = redis.call('HGETALL', KEYS[1])
  for i = 1, #counts, 2 do
    local status, type, index = string.match(counts[i], '^([^:]*):([^:]*):(.*)$')
    if
      status
      and (not statuses or statuses[status])
      and (not types or types[type])
      and (not indexes or index ~= '' and indexes[index])
    then
      sets[#sets + 1] = ARGV[2] .. counts[i]
      total = total + tonumber(counts[i + 1])
    end
  end
else
  for i = 3, #KEYS do
    local count = redis.call('ZCARD', KEYS[i])
    if count > 0 then
      sets[#sets + 1] = KEYS[i]
      total = total + count
    end
  end
end

-- Once a page is full, only uids that come before its last one are read of the sets that follow.
local first, last = ARGV[4], newest and '-inf' or '+inf'
if first == '' then first = newest and '+inf' or '-inf' end
local function merged(a, b)
  local result = {}
  local i, j = 1, 1
  local left, right = a[1], tonumber(b[1])
  while #result <= limit and (left or right) do
    if not right or left and (left > right) == newest then
      result[#result + 1] = left
      i = i + 1
      left = a[i]
    else
      result[#result + 1] = right
      j = j + 1
      right = b[j] and tonumber(b[j])
    end
  end
  return result
end

local uids = {}
for i = 1, #sets do
  local found
  if newest then
    found = redis.call('ZRANGE', sets[i], first, last, 'BYSCORE', 'REV', 'LIMIT', 0, limit + 1)
  else
    found = redis.call('ZRANGE', sets[i], first, last, 'BYSCORE', 'LIMIT', 0, limit + 1)
  end
  if #found > 0 then
    uids = merged(uids, found)
    if #uids == limit + 1 then last = int(uids[limit + 1]) end
  end
end

local reply = { int(total), uids[limit + 1] and int(uids[limit + 1]) or '' }
for i = 1, math.min(#uids, limit) do
  local uid = int(uids[i])
  reply[#reply + 1] = uid
  reply[#reply + 1] = redis.call('HGETALL', rowkey(KEYS[2], uid))
end
return reply
