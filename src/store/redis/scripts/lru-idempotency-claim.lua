#!lua
-- Records an idempotency key, unless it is: then it only counts as used.
--
-- KEYS  see prelude-lru.lua
-- ARGV  [1] time or ''; [2] key; [3] milliseconds that it lasts; [4] keys at most; [5] SHA-256 of the body;
--       [6] task uid
-- returns {1 where this call recorded it, else 0; the row's fields and values in turn}

local at = now(ARGV[1])
if live(at) then
  mark(ARGV[2], at, nil, {})
  return { 0, redis.call('HGETALL', KEYS[1]) }
end
forget(ended(at, sweptperinsertion))
redis.call('DEL', KEYS[1])
mark(ARGV[2], at, tonumber(ARGV[3]), { 'key', ARGV[2], 'body_sha256', ARGV[5], 'task_uid', ARGV[6] })
local result = redis.call('HGETALL', KEYS[1])
make_room(at, tonumber(ARGV[4]))
return { 1, result }
