-- Put in front of the scripts of scoped keys, behind the prelude. What each function promises:
--   generationof(key, proxy)  the generation that a proxy uses; 0 where it is not known. Ends the script with an error
--                             that says so where it is not a number

local function generationof(key, proxy)
  local stored = redis.call('HGET', key, proxy)
  if not stored then return 0 end
  local generation = tonumber(stored)
  if not generation then error({ err = 'CORRUPT a field of ' .. key .. ' is not a number' }) end
  return generation
end

