
-- Put in front of the scripts of jobs, behind the prelude. What becomes of a job mirrors job-transitions.ts.
-- `table` is the key that every key of the table begins with. A job's place in an index is its member: when it was
-- created and its id, as `timeMember` of time-order.ts puts them together; in byte order jobs are as they are listed.
--   _by_state:<state>  score 0; every job
--   _queued, _queued:<type>  score run_after; queued ones, and those whose claim was seen to have expired
--   _claimed           score claim_expires_at; those in progress, unless they are in _queued
--   _finished          score finished_at; those in a final state

local function member(job)
  return '1' .. string.rep('0', 16 - #job.created_at) .. job.created_at .. job.id
end

local function jobkey(table, at)
  return rowkey(table, string.sub(at, 18))
end

local function typequeue(table, name)
  return table .. ':_queued:' .. string.gsub(name, '[%%:]', { ['%'] = '%25', [':'] = '%3A' })
end

local function enqueue(table, job)
  local at = member(job)
  redis.call('ZADD', table .. ':_queued', job.run_after, at)
  redis.call('ZADD', typequeue(table, job.type), job.run_after, at)
end

local function dequeue(table, job)
  local at = member(job)
  redis.call('ZREM', table .. ':_queued', at)
  redis.call('ZREM', typequeue(table, job.type), at)
end

-- Puts a job into the indexes, by its fields.
local function index(table, job)
  local at = member(job)
  redis.call('ZADD', table .. ':_by_state:' .. job.state, 0, at)
  if job.state == 'queued' then
    enqueue(table, job)
  elseif job.state == 'in_progress' then
    redis.call('ZADD', table .. ':_claimed', job.claim_expires_at, at)
  else
    redis.call('ZADD', table .. ':_finished', job.finished_at, at)
  end
end

-- Changes fields of a job, those that are false to null, and its place in the indexes. Returns the row as HGETALL does.
local function change(table, job, fields)
  local key = rowkey(table, job.id)
  redis.call('ZREM', table .. ':_by_state:' .. job.state, member(job))
  redis.call('ZREM', table .. ':_claimed', member(job))
  dequeue(table, job)
  for name, value in pairs(fields) do
    if value then
      job[name] = value
      redis.call('HSET', key, name, value)
    else
      job[name] = nil
      redis.call('HDEL', key, name)
    end
  end
  index(table, job)
  return redis.call('HGETALL', key)
end

local function finished(state, at)
  return { state = state, claimed_by = false, claim_expires_at = false, updated_at = int(at), finished_at = int(at) }
end

local function requeued(at)
  return { state = 'queued', claimed_by = false, claim_expires_at = false, updated_at = int(at) }
end

-- Whether the claim of that holder and attempt is the one that the job stands under, expired or not.
local function held(job, holder, attempt)
  return job and job.state == 'in_progress' and job.claimed_by == holder and job.attempts == attempt
end

-- Whether one member comes before another, byte by byte, whatever the server's locale is.
local function before(a, b)
  local x, y = tonumber(string.sub(a, 2, 17)), tonumber(string.sub(b, 2, 17))
  if x ~= y then return x < y end
  for i = 18, math.min(#a, #b) do
    local p, q = string.byte(a, i), string.byte(b, i)
    if p ~= q then return p < q end
  end
  return #a < #b
end
