#!lua
-- Applies a set of writes if what they were computed from is still so: all of them, or none.
--
-- KEYS  every key that is checked or written
-- ARGV  [1] '1' under a fence, else '0'; [2] holder, [3] term of the fence, whose lease is KEYS[1]
--       [4] number of checks, each three: index into KEYS, field, expected value
--           field '' expects the key not to exist; expected value '-' expects the field not to exist,
--           '=' and a value expects that value
--       then the writes, each: command, index into KEYS, number of arguments, arguments
-- returns {'ok'} | {'fenced', holder, term} | {'conflict', number of the check}

if ARGV[1] == '1' then
  local refused = fenced(KEYS[1], ARGV[2], ARGV[3])
  if refused then return refused end
end

local at = 5
for check = 1, tonumber(ARGV[4]) do
  local key, field, expected = KEYS[tonumber(ARGV[at])], ARGV[at + 1], ARGV[at + 2]
  local holds
  if field == '' then
    holds = redis.call('EXISTS', key) == 0
  else
    local actual = redis.call('HGET', key, field)
    holds = expected == '-' and not actual or actual and expected == '=' .. actual
  end
  if not holds then return { 'conflict', check } end
  at = at + 3
end

while at <= #ARGV do
  local count = tonumber(ARGV[at + 2])
  redis.call(ARGV[at], KEYS[tonumber(ARGV[at + 1])], unpack(ARGV, at + 3, at + 2 + count))
  at = at + 3 + count
end
return { 'ok' }
