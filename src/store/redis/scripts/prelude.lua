-- Put in front of every script, after its first line. What each function promises:
--   now(text)          the time in milliseconds: the server's own, unless a test gives one as text
--   int(number)        an integer as text; Lua's own form would be 1.7e+12
--   rowkey(prefix, id) the key of a row, as `rowKey` of keyspace.ts builds it
--   fenced(key, holder, term)  nil where the lease at `key` is that holder's under that term; else the
--                      reply that the script returns (invariant 3)
--   row(key)           all fields of a hash as a table; nil where there is none

local function now(text)
  if text ~= '' then return tonumber(text) end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function int(number)
  return string.format('%.0f', number)
end

local function rowkey(prefix, id)
  local part = string.gsub(id, '[%%:]', { ['%'] = '%25', [':'] = '%3A' })
  if string.sub(part, 1, 1) == '_' then part = '_' .. part end
  return prefix .. ':' .. part
end

local function fenced(key, holder, term)
  local lease = redis.call('HMGET', key, 'holder', 'term')
  if lease[1] == holder and lease[2] == term then return nil end
  return { 'fenced', lease[1] or '', lease[2] or '0' }
end

local function row(key)
  local flat = redis.call('HGETALL', key)
  if #flat == 0 then return nil end
  local fields = {}
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end
