#!lua
-- Applies changes of tasks, and of everything that finds tasks, if what they were computed from is still so: all of
-- them, or none. What many changes touch at once (counts, lookups, zones) is added to here, so that it needs no check.
--
-- KEYS  [1] lease; [2..] every key that is checked or written
-- ARGV  as of commit.lua: '1', holder, term, number of checks, the checks, then the changes, each: name, index into
--       KEYS, number of arguments, arguments
--         HDEL DEL ZADD ZREM  the commands of those names
--         REV 1               counts this commit at the key; comes before ROW
--         ROW field value …   sets fields of a row, and its rev to this commit's
--         COUNT field by …    adds to counters in a hash; one that comes to 0 goes
--         OWN field uid …     puts client tasks into lookups, in ascending order
--         DISOWN field uid …  takes them out
--         ZONE field by min max min max min max
--                             adds to the number of tasks in a zone, and widens its bounds: of the times of
--                             enqueuing, starting and finishing, '' where there is none
-- returns {'ok'} | {'fenced', holder, term} | {'conflict', number of the check}

local refused = fenced(KEYS[1], ARGV[2], ARGV[3])
if refused then return refused end

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

local rev

local function owners(key, field)
  local uids = {}
  for uid in string.gmatch(redis.call('HGET', key, field) or '', '[^,]+') do uids[#uids + 1] = uid end
  return uids
end

local changes = {
  REV = function(key, first) rev = int(redis.call('INCRBY', key, ARGV[first])) end,

  ROW = function(key, first, last)
    redis.call('HSET', key, 'rev', rev, unpack(ARGV, first, last))
  end,

  COUNT = function(key, first, last)
    for i = first, last, 2 do
      if redis.call('HINCRBY', key, ARGV[i], ARGV[i + 1]) == 0 then redis.call('HDEL', key, ARGV[i]) end
    end
  end,

  OWN = function(key, first, last)
    for i = first, last, 2 do
      local field, uid = ARGV[i], ARGV[i + 1]
      if redis.call('HSETNX', key, field, uid) == 0 then
        local uids = owners(key, field)
        local place = #uids + 1
        while place > 1 and tonumber(uids[place - 1]) > tonumber(uid) do place = place - 1 end
        if uids[place - 1] ~= uid then table.insert(uids, place, uid) end
        redis.call('HSET', key, field, table.concat(uids, ','))
      end
    end
  end,

  DISOWN = function(key, first, last)
    for i = first, last, 2 do
      local left = {}
      for _, uid in ipairs(owners(key, ARGV[i])) do
        if uid ~= ARGV[i + 1] then left[#left + 1] = uid end
      end
      if #left == 0 then
        redis.call('HDEL', key, ARGV[i])
      else
        redis.call('HSET', key, ARGV[i], table.concat(left, ','))
      end
    end
  end,

  ZONE = function(key, first, last)
    local field = ARGV[first]
    local known = {}
    local text = redis.call('HGET', key, field)
    for part in string.gmatch((text or '0,,,,,,') .. ',', '([^,]*),') do known[#known + 1] = part end
    known[1] = int(tonumber(known[1]) + tonumber(ARGV[first + 1]))
    if known[1] == '0' then
      redis.call('HDEL', key, field)
      return
    end
    for i = 2, 7 do
      local old, new = known[i], ARGV[first + i]
      if old == '' then
        known[i] = new
      elseif new ~= '' then
        local lower = tonumber(new) < tonumber(old)
        if lower == (i % 2 == 0) then known[i] = new end
      end
    end
    local after = table.concat(known, ',')
    if after ~= text then redis.call('HSET', key, field, after) end
  end,
}

while at <= #ARGV do
  local name, key, count = ARGV[at], KEYS[tonumber(ARGV[at + 1])], tonumber(ARGV[at + 2])
  local first, last = at + 3, at + 2 + count
  local change = changes[name]
  if change then
    change(key, first, last)
  else
    redis.call(name, key, unpack(ARGV, first, last))
  end
  at = last + 1
end
return { 'ok' }
