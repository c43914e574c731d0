-- Running tasks that nobody will move on: their job is gone, or has ended, or waits although the task was asked to stop.
SELECT t.id, t.job_id, coalesce(j.state, '')
  FROM task t LEFT JOIN job j ON j.id = t.job_id
 WHERE t.state = 'running'
   AND (j.id IS NULL OR j.state IN ('done', 'failed', 'cancelled') OR (j.state = 'queued' AND t.stop_at IS NOT NULL))
 ORDER BY t.id LIMIT ?1
