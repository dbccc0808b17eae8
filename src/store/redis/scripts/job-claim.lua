#!lua
-- Claims the job that has waited longest of those that are due: queued, or under a claim that expired. Of the latter,
-- those that it meets before and that are not to be repeated are ended.
--
-- KEYS  [1] the table; [2…] the queues to look at: `_queued`, or those of the types that are asked for
-- ARGV  [1] time or ''; [2] holder; [3] milliseconds that the claim lasts; [4] the error of a job whose last attempt
--       was lost
-- returns the claimed row as field, value, …; nil where nothing is due; 'again' where more is to be looked at than
-- one script may

local maxMoved, maxSettled = 500, 100
local table, at = KEYS[1], now(ARGV[1])

-- Expired claims wait in the queues, in one order with the rest. Their rows stay, so that a late holder keeps its job
-- as long as nobody has taken it.
local expired = redis.call('ZRANGE', table .. ':_claimed', '-inf', int(at), 'BYSCORE', 'LIMIT', 0, maxMoved)
for _, place in ipairs(expired) do
  local fields = redis.call('HMGET', jobkey(table, place), 'id', 'type', 'created_at', 'run_after', 'claim_expires_at')
  if fields[1] then
    -- Due whenever its claim has expired, also by a clock that was set back behind run_after since.
    local since = int(math.min(tonumber(fields[4]), tonumber(fields[5])))
    enqueue(table, { id = fields[1], type = fields[2], created_at = fields[3], run_after = since })
  end
  redis.call('ZREM', table .. ':_claimed', place)
end
if #expired == maxMoved then return 'again' end

local function first()
  local best, waited, queue
  for i = 2, #KEYS do
    local head = redis.call('ZRANGE', KEYS[i], '-inf', int(at), 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
    local place, since = head[1], tonumber(head[2])
    if place and (not best or since < waited or since == waited and before(place, best)) then
      best, waited, queue = place, since, KEYS[i]
    end
  end
  return best, queue
end

for _ = 1, maxSettled do
  local place, queue = first()
  if not place then return nil end
  local job = row(jobkey(table, place))
  if not job then
    redis.call('ZREM', queue, place)
  elseif job.state == 'in_progress' and tonumber(job.claim_expires_at) > at then
    -- The clock was set back since the claim was seen to have expired.
    dequeue(table, job)
    index(table, job)
  elseif job.state == 'in_progress' and job.cancel_requested == '1' then
    change(table, job, finished('canceled', at))
  elseif job.state == 'in_progress' and tonumber(job.attempts) >= tonumber(job.max_attempts) then
    local fields = finished('failed', at)
    fields.error = ARGV[4]
    change(table, job, fields)
  else
    return change(table, job, {
      state = 'in_progress', claimed_by = ARGV[2], claim_expires_at = int(at + tonumber(ARGV[3])),
      attempts = int(tonumber(job.attempts) + 1), updated_at = int(at),
    })
  end
end
return 'again'
