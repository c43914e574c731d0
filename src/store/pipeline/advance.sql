-- name: facts
-- A task whose current job has ended, and what is needed to advance it.
SELECT t.stage, t.stop_at IS NOT NULL, t.stop_why, t.held, t.params, coalesce(p.spec, ''), j.state, coalesce(j.error, '')
  FROM task t
  JOIN job j ON j.id = t.job_id
  LEFT JOIN pipeline p ON p.id = t.pipeline_id
 WHERE t.id = ?1 AND t.job_id = ?2 AND t.state = 'running' AND j.state IN ('done', 'failed', 'cancelled');

-- name: step
INSERT INTO task_step (task_id, seq, stage, job_id, entered_at)
SELECT ?1, 1 + (SELECT coalesce(max(seq), 0) FROM task_step WHERE task_id = ?1), ?2, ?3, ?4;

-- name: stuck
-- A running task that no worker will advance: its job is gone, or has ended, or waits although the
-- task has a stop request.
SELECT t.job_id, coalesce(j.state, '')
  FROM task t LEFT JOIN job j ON j.id = t.job_id
 WHERE t.id = ?1 AND t.state = 'running'
   AND (j.id IS NULL OR j.state IN ('done', 'failed', 'cancelled') OR (j.state = 'queued' AND t.stop_at IS NOT NULL));

-- name: pass_gate
UPDATE task SET stage = ?4, job_id = NULL
 WHERE id = ?1 AND state = 'running' AND stage = ?2 AND job_id = ?3 AND stop_at IS NULL;

-- name: wait_for_last
UPDATE task SET job_id = ?3, stop_at = coalesce(stop_at, ?4), stop_why = iif(stop_at IS NULL, ?5, stop_why)
 WHERE id = ?1 AND state = 'running' AND job_id = ?2;

-- name: finish
UPDATE task SET state = ?4, error = ?5, finished_at = ?6
 WHERE id = ?1 AND state = 'running' AND stage = ?2 AND job_id = ?3;

-- name: fail
UPDATE task SET state = 'failed', error = ?3, finished_at = ?4
 WHERE id = ?1 AND state = 'running' AND stage = ?2 AND job_id IS NULL;

-- name: lose
UPDATE task SET state = iif(stop_at IS NULL, 'failed', 'cancelled'), finished_at = ?3,
                error = 'the job of its stage is gone, and how it ended is not known'
 WHERE id = ?1 AND state = 'running' AND job_id IS ?2;

-- name: register_teardown
INSERT INTO resource (name, task_id, teardown, cwd, env) SELECT ?2, ?1, ?3, ?4, ?5
 WHERE NOT EXISTS (SELECT 1 FROM resource WHERE task_id = ?1 AND name = ?2 AND state <> 'released');
