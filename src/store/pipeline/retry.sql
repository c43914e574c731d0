-- name: again
-- The gate of a person's retry. A stop request is withdrawn by it.
UPDATE task SET state = 'running', stage = ?2, job_id = NULL, error = NULL, finished_at = NULL, stop_at = NULL, stop_why = NULL
 WHERE id = ?1 AND state IN ('failed', 'cancelled');

-- name: event
INSERT INTO event (job_id, kind, detail) VALUES (?1, 'task_retried', ?2);

-- name: releasing
SELECT id FROM resource WHERE task_id = ?1 AND state = 'releasing' ORDER BY id LIMIT 1;

-- name: gone
SELECT DISTINCT name FROM resource
 WHERE task_id = ?1 AND state = 'released' AND name <> ?2
   AND NOT EXISTS (SELECT 1 FROM resource live WHERE live.task_id = ?1 AND live.name = resource.name AND live.state = 'held')
 ORDER BY name LIMIT ?3;
