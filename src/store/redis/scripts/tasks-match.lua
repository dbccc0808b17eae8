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

-- Only what a condition is about is read.
local fields, conditions = {}, {}
local function expect(field, condition)
  fields[#fields + 1] = field
  conditions[#conditions + 1] = condition
end

for _, field in ipairs({ 'status', 'type', 'index_uid', 'canceled_by' }) do
  local values = wanted()
  if values then expect(field, function(text) return values[text] end) end
end
for i, field in ipairs({ 'enqueued_at', 'started_at', 'finished_at' }) do
  local after, before = tonumber(ARGV[2 + 2 * i]), tonumber(ARGV[3 + 2 * i])
  if after or before then
    expect(field, function(text)
      local value = tonumber(text)
      return (not after or value > after) and (not before or value < before)
    end)
  end
end

local function matches(uid)
  if #fields == 0 then return true end
  local values = redis.call('HMGET', rowkey(KEYS[1], uid), unpack(fields))
  for i = 1, #fields do
    if not values[i] or not conditions[i](values[i]) then return false end
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
