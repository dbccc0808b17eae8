#!lua flags=no-writes
-- Looks at the tasks of ranges of sorted sets of uids, one after the other, and tells those that match every
-- condition. Stops after a bounded number of tasks; the caller goes on from there.
--
-- KEYS  [1] the table, which begins the keys of rows; [2..] sorted sets
-- ARGV  [1] 'REV' for descending uids, '' for ascending ones; [2] tasks to look at; [3] matches that are enough
--       [4..9] bounds that times of enqueuing, starting and finishing lie strictly between, '' for none
--       [10..] statuses, types, indexes and cancelers, each: how many, -1 for any, and the values
--       then the ranges, each: index into KEYS, first uid, last uid, in the order asked for
-- returns {the range to go on with, from 1; the uid to go on from in it, '' for its first; matching uids …};
--         the range behind the last one where nothing is left

local newest = ARGV[1] == 'REV'
local budget, enough = tonumber(ARGV[2]), tonumber(ARGV[3])
local at = 10

local function wanted()
  local count = tonumber(ARGV[at])
  at = at + 1
  if count < 0 then return nil end
  local values = {}
  for i = at, at + count - 1 do values[ARGV[i]] = true end
  at = at + count
  return values
end

local conditions = { wanted(), wanted(), wanted(), wanted() }
local bounds = {}
for i = 4, 9 do bounds[i - 3] = tonumber(ARGV[i]) end

local function matches(uid)
  local fields = redis.call(
    'HMGET', rowkey(KEYS[1], uid),
    'status', 'type', 'index_uid', 'canceled_by', 'enqueued_at', 'started_at', 'finished_at'
  )
  for i = 1, 4 do
    if conditions[i] and not (fields[i] and conditions[i][fields[i]]) then return false end
  end
  for i = 1, 3 do
    local after, before = bounds[2 * i - 1], bounds[2 * i]
    if after or before then
      local value = tonumber(fields[4 + i])
      if not value or after and value <= after or before and value >= before then return false end
    end
  end
  return true
end

local reply = { '', '' }
local range = 1
while at <= #ARGV do
  local key, first, last = KEYS[tonumber(ARGV[at])], ARGV[at + 1], ARGV[at + 2]
  -- One more than may be looked at, to know where to go on.
  local found
  if newest then
    found = redis.call('ZRANGE', key, first, last, 'BYSCORE', 'REV', 'LIMIT', 0, budget + 1)
  else
    found = redis.call('ZRANGE', key, first, last, 'BYSCORE', 'LIMIT', 0, budget + 1)
  end
  for i = 1, #found do
    if budget == 0 or #reply - 2 == enough then
      reply[1], reply[2] = int(range), found[i]
      return reply
    end
    budget = budget - 1
    if matches(found[i]) then reply[#reply + 1] = found[i] end
  end
  at = at + 3
  range = range + 1
end
reply[1] = int(range)
return reply
