#!lua flags=no-writes
-- Reads sessions in the order in which they end, as they are at one moment.
--
-- KEYS  [1] sessions by the time at which they end; [2] what the rows' keys begin with
-- ARGV  [1] time or ''; [2] sessions at most; [3] end and [4] id of the session after which to begin; '' for the first
-- returns {end and id of the last session looked at, or '' where there are no more, rows: fields and values in turn}

local first
if ARGV[4] == '' then
  first = redis.call('ZCOUNT', KEYS[1], '-inf', int(now(ARGV[1])))
elseif redis.call('ZSCORE', KEYS[1], ARGV[4]) == ARGV[3] then
  first = redis.call('ZRANK', KEYS[1], ARGV[4]) + 1
else
  -- It went meanwhile: again from the first that ends at the same time.
  first = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[3])
end
local limit = tonumber(ARGV[2])
local found = redis.call('ZRANGE', KEYS[1], first, first + limit - 1, 'WITHSCORES')
local rows = {}
for i = 1, #found, 2 do
  local fields = redis.call('HGETALL', rowkey(KEYS[2], found[i]))
  if #fields > 0 then rows[#rows + 1] = fields end
end
if #found < 2 * limit then return { '', '', rows } end
return { found[#found], found[#found - 1], rows }
