#!lua flags=allow-oom
-- Deletes finished jobs, those that finished first before others: the ones that are too old, then the ones too many.
--
-- KEYS  [1] the lease of the fence; [2] the table
-- ARGV  [1] holder, [2] term of the fence; [3] the time before which they finished, or ''; [4] how many to keep, or '';
--       [5] how many to delete at most, up to 1,000
-- returns how many it deleted, or {'fenced', holder, term}

local refused = fenced(KEYS[1], ARGV[1], ARGV[2])
if refused then return refused end
local table, limit, pruned = KEYS[2], tonumber(ARGV[5]), 0
local queue = table .. ':_finished'

local function delete(places)
  if #places == 0 then return end
  local keys = {}
  for i, place in ipairs(places) do keys[i] = jobkey(table, place) end
  redis.call('DEL', unpack(keys))
  redis.call('ZREM', queue, unpack(places))
  for _, state in ipairs({ 'completed', 'failed', 'canceled' }) do
    redis.call('ZREM', table .. ':_by_state:' .. state, unpack(places))
  end
  pruned = pruned + #places
end

if ARGV[3] ~= '' then
  delete(redis.call('ZRANGE', queue, '-inf', '(' .. ARGV[3], 'BYSCORE', 'LIMIT', 0, limit))
end
if ARGV[4] ~= '' then
  local excess = math.min(redis.call('ZCARD', queue) - tonumber(ARGV[4]), limit - pruned)
  if excess > 0 then delete(redis.call('ZRANGE', queue, 0, excess - 1)) end
end
return pruned
