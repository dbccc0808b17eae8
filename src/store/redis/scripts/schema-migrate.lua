#!lua
-- Records versions of the keyspace, unless somebody else has recorded any meanwhile.
--
-- KEYS  [1] the schema version
-- ARGV  [1] time or ''; [2] the version that was read; then for each new one: version, name, checksum
-- returns the version that is recorded now

local recorded = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
if recorded ~= tonumber(ARGV[2]) then return recorded end
local at = int(now(ARGV[1]))
for i = 3, #ARGV, 3 do
  redis.call('HSET', KEYS[1], 'version', ARGV[i], 'name:' .. ARGV[i], ARGV[i + 1],
    'checksum:' .. ARGV[i], ARGV[i + 2], 'applied_at:' .. ARGV[i], at)
  recorded = tonumber(ARGV[i])
end
return recorded
