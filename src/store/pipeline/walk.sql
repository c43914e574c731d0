-- name: facts
-- A task whose current job has ended, and what is needed to move it on.
SELECT t.stage, t.stop_at IS NOT NULL, t.stop_why, t.held, t.params, coalesce(p.spec, ''), j.state, coalesce(j.error, '')
  FROM task t
  JOIN job j ON j.id = t.job_id
  LEFT JOIN pipeline p ON p.id = t.pipeline_id
 WHERE t.id = ?1 AND t.job_id = ?2 AND t.state = 'running' AND j.state IN ('done', 'failed', 'cancelled');

-- name: step
INSERT INTO task_step (task_id, seq, stage, job_id, entered_at)
SELECT ?1, 1 + (SELECT coalesce(max(seq), 0) FROM task_step WHERE task_id = ?1), ?2, ?3, ?4;

-- name: stuck
-- A running task that no worker will move on: its job is gone, or has ended, or waits although the task was asked to stop.
SELECT t.job_id, coalesce(j.state, '')
  FROM task t LEFT JOIN job j ON j.id = t.job_id
 WHERE t.id = ?1 AND t.state = 'running'
   AND (j.id IS NULL OR j.state IN ('done', 'failed', 'cancelled') OR (j.state = 'queued' AND t.stop_at IS NOT NULL));
