#!lua
-- Begins a session, unless there is one with its id. Where there are too many, those that would end first go.
--
-- KEYS  [1] the row; [2] sessions by the time at which they end; [3] what the rows' keys begin with
-- ARGV  [1] time or ''; [2] milliseconds that it lasts; [3] sessions at most; [4] rows to clean up at most; [5] id;
--       then fields and values of the row in turn, without its times
-- returns {created_at, expires_at}, or nil where the id is in use

local at, life, id = now(ARGV[1]), tonumber(ARGV[2]), ARGV[5]
local stored = redis.call('HGET', KEYS[1], 'expires_at')
if stored and not tonumber(stored) then
  return redis.error_reply('CORRUPT field expires_at of ' .. KEYS[1] .. ' is not a number')
end
if stored and tonumber(stored) > at then return nil end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], id)

local clean = tonumber(ARGV[4])
for _, ended in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', int(at), 'LIMIT', 0, clean)) do
  redis.call('DEL', rowkey(KEYS[3], ended))
  redis.call('ZREM', KEYS[2], ended)
end
local excess = math.min(redis.call('ZCARD', KEYS[2]) + 1 - tonumber(ARGV[3]), clean)
if excess > 0 then
  local evicted = redis.call('ZPOPMIN', KEYS[2], excess)
  for i = 1, #evicted, 2 do redis.call('DEL', rowkey(KEYS[3], evicted[i])) end
end

local ends = int(at + life)
redis.call('HSET', KEYS[1], 'created_at', int(at), 'expires_at', ends, unpack(ARGV, 6))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], ends, id)
if redis.call('PTTL', KEYS[2]) < life then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
return { int(at), ends }
