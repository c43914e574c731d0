-- A running task that no worker will move on: its job is gone, or has ended, or waits although the task was asked to stop.
SELECT t.job_id, coalesce(j.state, '')
  FROM task t LEFT JOIN job j ON j.id = t.job_id
 WHERE t.id = ?1 AND t.state = 'running'
   AND (j.id IS NULL OR j.state IN ('done', 'failed', 'cancelled') OR (j.state = 'queued' AND t.stop_at IS NOT NULL))
