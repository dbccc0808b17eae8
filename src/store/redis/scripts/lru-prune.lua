#!lua flags=allow-oom
-- Deletes rows that have ended, those that ended first before others, with what the indexes hold of them.
--
-- KEYS  see prelude-lru.lua; [1] is the leader's lease
-- ARGV  [1] time or ''; [2] holder, [3] term of the fence; [4] rows at most
-- returns how many went, or {'fenced', holder, term}

local refused = fenced(KEYS[1], ARGV[2], ARGV[3])
if refused then return refused end
return forget(ended(now(ARGV[1]), tonumber(ARGV[4])))
