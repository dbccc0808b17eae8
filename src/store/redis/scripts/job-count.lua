#!lua flags=no-writes
-- How many members each of some indexes has.
--
-- KEYS  the indexes
-- returns a number for each

local counts = {}
for i, key in ipairs(KEYS) do counts[i] = redis.call('ZCARD', key) end
return counts
