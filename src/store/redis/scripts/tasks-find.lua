#!lua flags=no-writes
-- Looks up the client tasks of node tasks.
--
-- KEYS  the hash of each lookup
-- ARGV  the field of each
-- returns for each its client tasks in ascending order, between commas; '' for none

local found = {}
for i, key in ipairs(KEYS) do found[i] = redis.call('HGET', key, ARGV[i]) or '' end
return found
