#!lua
-- Revokes sessions and tells everybody who listens. Each revocation has a number, one more than the one before.
--
-- KEYS  [1] revocations by number: `<expires_at>:<id>`; [2] the last number; [3] what the rows' keys begin with
-- ARGV  [1] time or ''; [2] the channel, on which `<number>:<id>` is published; [3] revocations to keep at most;
--       [4] ended revocations to clean up at most; then the ids
-- returns how many were revoked: those that there are, have not ended and were not revoked before

local at, revoked, life = now(ARGV[1]), 0, 0
for i = 5, #ARGV do
  local id = ARGV[i]
  local key = rowkey(KEYS[3], id)
  local session = redis.call('HMGET', key, 'expires_at', 'revoked_at')
  -- Damage shows itself to whoever reads the row; it keeps no other session from being revoked.
  local ends = tonumber(session[1] or '0') or 0
  if ends > at and not session[2] then
    redis.call('HSET', key, 'revoked_at', int(at))
    local number = int(redis.call('INCR', KEYS[2]))
    redis.call('ZADD', KEYS[1], number, session[1] .. ':' .. id)
    -- Where the user may not publish, the revocation holds all the same: those who listen look at the record, too.
    redis.pcall('PUBLISH', ARGV[2], number .. ':' .. id)
    revoked, life = revoked + 1, math.max(life, ends - at)
  end
end
if revoked == 0 then return 0 end

for _, entry in ipairs(redis.call('ZRANGE', KEYS[1], 0, tonumber(ARGV[4]) - 1)) do
  if tonumber(string.match(entry, '^%d+')) <= at then redis.call('ZREM', KEYS[1], entry) end
end
local excess = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[3])
if excess > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1], 0, excess - 1) end
if redis.call('PTTL', KEYS[1]) < life then redis.call('PEXPIRE', KEYS[1], int(life)) end
return revoked
