#!lua flags=no-writes
-- Jobs in the order of their members, on one snapshot; fewer than asked for where the reply would grow too large.
--
-- KEYS  [1] the table; [2…] `_by_state` of each state that is asked for
-- ARGV  [1] the member to go on behind, or ''; [2] how many, 500 at most; [3] bytes after which to stop
-- returns {'more' or 'end', row, …}, each row as field, value, …

local from, limit = '-', tonumber(ARGV[2])
if ARGV[1] ~= '' then from = '(' .. ARGV[1] end
local walks = {}
for i = 2, #KEYS do
  walks[#walks + 1] = { at = 1, members = redis.call('ZRANGE', KEYS[i], from, '+', 'BYLEX', 'LIMIT', 0, limit) }
end

local reply, bytes = { 'end' }, 0
for _ = 1, limit do
  local least
  for _, walk in ipairs(walks) do
    local place = walk.members[walk.at]
    if place and (not least or before(place, least.members[least.at])) then least = walk end
  end
  if not least then return reply end
  local fields = redis.call('HGETALL', jobkey(KEYS[1], least.members[least.at]))
  least.at = least.at + 1
  reply[#reply + 1] = fields
  for _, field in ipairs(fields) do bytes = bytes + #field end
  if bytes >= tonumber(ARGV[3]) then break end
end
reply[1] = 'more'
return reply
