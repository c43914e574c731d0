-- name: note_restored
INSERT INTO event (at, job_id, run_id, kind, detail)
 SELECT ?1, id, run_id, 'restored', ?2 || CASE state
   WHEN 'running' THEN '; this job was running in it, and how that run ended is not known. It is held: tenure release lets it run again'
   ELSE '; what has happened since is not known. The job is held: tenure release lets it start' END
   FROM job WHERE state IN ('queued', 'running') ORDER BY id;

-- name: tell_truth
UPDATE dependency SET state = (SELECT truth FROM dependency_truth t WHERE t.job_id = dependency.job_id AND t.on_job = dependency.on_job)
 WHERE EXISTS (SELECT 1 FROM dependency_truth t
                WHERE t.job_id = dependency.job_id AND t.on_job = dependency.on_job AND t.truth <> dependency.state);

-- name: count_held
SELECT count(*) FROM job WHERE state = 'queued' AND user_hold = 1
 AND NOT EXISTS (SELECT 1 FROM cancel WHERE job_id = job.id AND closed_at IS NULL);

-- name: cancel
UPDATE job SET state = 'cancelled', reason = 'cancelled', last_reason = 'lost', pid = NULL, finished_at = ?1
 WHERE state = 'running' AND (EXISTS (SELECT 1 FROM cancel WHERE job_id = job.id AND closed_at IS NULL)
                              OR (task_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM task WHERE id = job.task_id AND state = 'running' AND stop_at IS NULL)));

-- name: close_cancels
UPDATE cancel SET closed_at = ?1 WHERE closed_at IS NULL
 AND EXISTS (SELECT 1 FROM job WHERE id = cancel.job_id AND state IN ('done', 'failed', 'cancelled'));

-- name: requeue
UPDATE job SET state = 'queued', run_id = NULL, pid = NULL, started_at = NULL, last_reason = 'lost', user_hold = 1
 WHERE state = 'running';
