
-- Put in front of the scripts of tables whose rows end by themselves and of which the least recently used make room,
-- behind the prelude. KEYS of each of them: [1] the row, [2] the index by expiry, [3] the index by use, [4] what the
-- rows' keys begin with. A row has expires_at, which decides, and last_used_at: a time, but above every earlier one, so
-- that the order of uses is exact.
--   integer(fields, name)     a number that must be there; else the script ends with an error that says so
--   live(at)                  the row's fields, nil where there is none or it ended
--   mark(id, at, ttl, fields) stores the row's fields; it counts as used, and ends after ttl unless that is nil
--   forget(ids)               deletes rows and what the indexes hold of them; returns how many
--   ended(at, limit)          ids of rows that have ended, the first to end first
--   make_room(at, limit)      takes out what exceeds the limit: rows that ended first, then the least recently used

local sweptperinsertion = 10
local maxevictedperinsertion = 1000

local function integer(fields, name)
  local value = tonumber(fields[name])
  if not value then error({ err = 'CORRUPT field ' .. name .. ' of ' .. KEYS[1] .. ' is not a number' }) end
  return value
end

local function live(at)
  local fields = row(KEYS[1])
  if fields and integer(fields, 'expires_at') > at then return fields end
  return nil
end

local function mark(id, at, ttl, fields)
  local used, last = at, redis.call('ZRANGE', KEYS[3], 0, 0, 'REV', 'WITHSCORES')[2]
  if last and tonumber(last) >= used then used = tonumber(last) + 1 end
  redis.call('HSET', KEYS[1], 'last_used_at', int(used), unpack(fields))
  redis.call('ZADD', KEYS[3], int(used), id)
  if not ttl then return end
  local expires = int(at + ttl)
  redis.call('HSET', KEYS[1], 'expires_at', expires)
  redis.call('PEXPIRE', KEYS[1], int(ttl))
  redis.call('ZADD', KEYS[2], expires, id)
  -- The indexes end with the last row. Without an end they stay so: they hold rows of which this one knows nothing.
  local only = redis.call('ZCARD', KEYS[3]) == 1
  for i = 2, 3 do
    if only then redis.call('PEXPIRE', KEYS[i], int(ttl)) else redis.call('PEXPIRE', KEYS[i], int(ttl), 'GT') end
  end
end

local function forget(ids)
  for _, id in ipairs(ids) do redis.call('DEL', rowkey(KEYS[4], id)) end
  for i = 1, #ids, 4000 do
    local last = math.min(i + 3999, #ids)
    redis.call('ZREM', KEYS[2], unpack(ids, i, last))
    redis.call('ZREM', KEYS[3], unpack(ids, i, last))
  end
  return #ids
end

local function ended(at, limit)
  return redis.call('ZRANGE', KEYS[2], '-inf', int(at), 'BYSCORE', 'LIMIT', 0, limit)
end

local function make_room(at, limit)
  local excess = math.min(redis.call('ZCARD', KEYS[3]) - limit, maxevictedperinsertion)
  if excess <= 0 then return end
  excess = excess - forget(ended(at, excess))
  if excess > 0 then forget(redis.call('ZRANGE', KEYS[3], 0, excess - 1)) end
end
