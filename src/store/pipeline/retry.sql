-- name: again
-- The gate of a person's retry. A stop request is withdrawn by it.
UPDATE task SET state = 'running', stage = ?2, job_id = NULL, error = NULL, finished_at = NULL, stop_at = NULL, stop_why = NULL
 WHERE id = ?1 AND state IN ('failed', 'cancelled');

-- name: event
INSERT INTO event (job_id, kind, detail) VALUES (?1, 'task_retried', ?2);

-- name: releasing
-- Of the task, of a job of it, or of a run of one.
SELECT min(id) FROM (
  SELECT id FROM resource WHERE task_id = ?1 AND state = 'releasing'
  UNION ALL
  SELECT resource_id FROM blocking_resource WHERE job_id IN (SELECT job_id FROM task_step WHERE task_id = ?1 AND job_id IS NOT NULL))
HAVING min(id) IS NOT NULL;

-- name: gone
SELECT DISTINCT name FROM resource
 WHERE task_id = ?1 AND state = 'released' AND name <> ?2
   AND NOT EXISTS (SELECT 1 FROM resource live WHERE live.task_id = ?1 AND live.name = resource.name AND live.state = 'held')
 ORDER BY name LIMIT ?3;
