#!lua
-- Records what a session's client must see: `mergeSession` of session-merge.ts with what is stored.
--
-- KEYS  see prelude-lru.lua
-- ARGV  [1] time or ''; [2] id; [3] milliseconds that it lasts from now; [4] sessions at most
--       [5] uid, [6] time and [7] group of the last write, each '' for none; [8] settings version
-- returns its fields and values in turn

local at = now(ARGV[1])
local stored = live(at)
local version = ARGV[8]
local newest = true
if stored then
  local known = integer(stored, 'min_settings_version')
  if known > tonumber(version) then version = int(known) end
  newest = (tonumber(ARGV[5]) or -1) >= (tonumber(stored.last_write_task_uid) or -1)
else
  forget(ended(at, sweptperinsertion))
end

local fields = { 'session_id', ARGV[2], 'min_settings_version', version }
if newest then
  redis.call('DEL', KEYS[1])
  for i, name in ipairs({ 'last_write_task_uid', 'last_write_at', 'pinned_group' }) do
    if ARGV[4 + i] ~= '' then
      fields[#fields + 1] = name
      fields[#fields + 1] = ARGV[4 + i]
    end
  end
end
mark(ARGV[2], at, tonumber(ARGV[3]), fields)
local result = redis.call('HGETALL', KEYS[1])
make_room(at, tonumber(ARGV[4]))
return result
