-- name: broken
SELECT id FROM job WHERE state = 'queued' AND broken > 0 ORDER BY id LIMIT ?1;

-- name: cancelled
SELECT job.id, 'cancelled while it waited'
  FROM cancel CROSS JOIN job ON job.id = cancel.job_id
 WHERE cancel.closed_at IS NULL AND job.state = 'queued'
 ORDER BY cancel.job_id LIMIT ?1;

-- name: clock
-- A job that has run waits for a duration that the worker has set, along with any other holds; one
-- that has not run waits for the instant that a person gave.
UPDATE job SET available_at = max(1, available_at + ?1), due_seen = min(due_seen, max(0, available_at + ?1 - 1))
 WHERE state = 'queued' AND state <> 'done' AND available_at > due_seen AND attempts + deferrals + failed_starts > 0;

-- name: clock_resources
UPDATE resource SET next_at = max(0, next_at + ?1) WHERE state = 'releasing' AND next_at > 0;

-- name: due
-- Records that the instant has passed for these jobs. The stored value is their own time, not the
-- current one: so a clock that was wrong for a moment promotes nothing that is delayed later.
UPDATE job SET due_seen = available_at
 WHERE id IN (SELECT id FROM job WHERE state = 'queued' AND hold = 'time' AND available_at <= ?1 ORDER BY available_at LIMIT ?2)
   AND state = 'queued';

-- name: expired
SELECT id, 'it had not started by the time it was to expire' FROM job
 WHERE state = 'queued' AND expires_at IS NOT NULL AND attempts = 0 AND deferrals = 0 AND expires_at <= ?2
 ORDER BY expires_at LIMIT ?1;

-- name: next
SELECT min(at) FROM (
  SELECT min(available_at) AS at FROM job WHERE state = 'queued' AND hold = 'time'
  UNION ALL
  SELECT min(expires_at) FROM job WHERE state = 'queued' AND expires_at IS NOT NULL AND attempts = 0 AND deferrals = 0);
