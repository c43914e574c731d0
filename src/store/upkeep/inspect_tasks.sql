-- Running tasks after number ?1, ?2 at most. Then: no worker will move it on, because its job is gone, or has ended, or waits although the
-- task was asked to stop.
SELECT t.id, j.id IS NULL OR j.state IN ('done', 'failed', 'cancelled') OR (j.state = 'queued' AND t.stop_at IS NOT NULL)
  FROM task t LEFT JOIN job j ON j.id = t.job_id
 WHERE t.state = 'running' AND t.id > ?1 ORDER BY t.id LIMIT ?2
