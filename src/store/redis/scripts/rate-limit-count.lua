#!lua
-- Counts a request in the window that the source's first one began, unless that is over the limit or the source is
-- locked out. Mirrors countRequest and countLoginAttempt of rate-limit-rules.ts.
--
-- KEYS  [1] the counter: `<used>:<expires_at>`; [2] failures to log in, where they count: `<failures>:<locked_until>`
-- ARGV  [1] time or ''; [2] limit; [3] the window in milliseconds
-- returns {'allowed', remaining} | {'rate', milliseconds left} | {'backoff', milliseconds left}
--         | {'corrupt', number of the key}

local at, limit, window = now(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local failed = KEYS[2] and redis.call('GET', KEYS[2])
if failed then
  local locked = string.match(failed, '^%d+:(%d+)$')
  if not locked then return { 'corrupt', '2' } end
  if tonumber(locked) > at then return { 'backoff', int(tonumber(locked) - at) } end
end

local stored = redis.call('GET', KEYS[1])
if stored then
  local used, ends = string.match(stored, '^(%d+):(%d+)$')
  if not used then return { 'corrupt', '1' } end
  if tonumber(ends) > at then
    if tonumber(used) >= limit then return { 'rate', int(tonumber(ends) - at) } end
    redis.call('SET', KEYS[1], int(tonumber(used) + 1) .. ':' .. ends, 'KEEPTTL')
    return { 'allowed', int(limit - tonumber(used) - 1) }
  end
end
redis.call('SET', KEYS[1], '1:' .. int(at + window), 'PX', ARGV[3])
return { 'allowed', int(limit - 1) }
