#!lua flags=no-writes
-- Reads the rows that a part of an index names, as they are at one moment. The index is a sorted set whose
-- scores are all the same, so that its members stand in the order of their bytes.
--
-- KEYS  [1] the index; [2] what the rows' keys begin with
-- ARGV  [1] first and [2] last member, as ZRANGE BYLEX takes them; [3] 'REV' for descending order, else '';
--       [4] rows at most; [5] bytes of a member in front of the row's id, or 'key' where members are the ends
--       of rows' keys
-- returns {last member looked at, or '' where the part has come to its end, rows: fields and values in turn};
--         fewer rows than asked for where they are large

local maxbytes = 8388608
local limit = tonumber(ARGV[4])
local members
if ARGV[3] == 'REV' then
  members = redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[1], 'BYLEX', 'REV', 'LIMIT', 0, limit)
else
  members = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'BYLEX', 'LIMIT', 0, limit)
end
local rows, bytes = {}, 0
for at, member in ipairs(members) do
  local key
  if ARGV[5] == 'key' then
    key = KEYS[2] .. ':' .. member
  else
    key = rowkey(KEYS[2], string.sub(member, tonumber(ARGV[5]) + 1))
  end
  local fields = redis.call('HGETALL', key)
  if #fields > 0 then rows[#rows + 1] = fields end
  for _, field in ipairs(fields) do bytes = bytes + #field end
  if bytes > maxbytes and at < #members then return { member, rows } end
end
return { #members == limit and members[limit] or '', rows }
