#!lua flags=allow-oom
-- Deletes a row, if a field of it has a value.
--
-- KEYS  see prelude-lru.lua
-- ARGV  [1] time or ''; [2] the row's id; [3] a field, or '' for any row; [4] its value
-- returns 1, or 0 where there is no such row or it had ended

local fields = live(now(ARGV[1]))
if not fields or ARGV[3] ~= '' and fields[ARGV[3]] ~= ARGV[4] then return 0 end
return forget({ ARGV[2] })
