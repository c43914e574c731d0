-- name: stop_of_cancelled
UPDATE task SET stop_at = ?3, stop_why = 'its job was cancelled'
 WHERE pipeline = ?1 AND key = ?2 AND state = 'running' AND stop_at IS NULL
   AND EXISTS (SELECT 1 FROM cancel WHERE job_id = task.job_id AND closed_at IS NULL);

-- name: running
SELECT j.run_id, t.stage, p.spec FROM task t JOIN job j ON j.id = t.job_id JOIN pipeline p ON p.id = t.pipeline_id
 WHERE t.state = 'running' AND j.state = 'running' AND j.run_id IS NOT NULL;
