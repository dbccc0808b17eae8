#!lua flags=allow-oom
-- Deletes a row, if a field of it has a value.
--
-- KEYS  see prelude-lru.lua
-- ARGV  [1] time or ''; [2] the row's id; [3] a field, or '' for any row; [4] its value
-- returns 1, or 0 where there is no such row or it had ended

local fields = live(now(ARGV[1]))
if fields and ARGV[3] ~= '' and fields[ARGV[3]] ~= ARGV[4] then return 0 end
forget({ ARGV[2] })
return fields and 1 or 0
