#!lua flags=no-writes
-- Reads rows as they are at one moment.
--
-- KEYS  the rows
-- returns for each key its fields and values in turn; none where there is no row

local rows = {}
for i = 1, #KEYS do rows[i] = redis.call('HGETALL', KEYS[i]) end
return rows
