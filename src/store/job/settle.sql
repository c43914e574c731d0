-- name: requeue
-- The gate, back to the queue. `due_seen` is reset too, or a clock that was set back would skip the
-- wait.
UPDATE job
   SET state = 'queued', run_id = NULL, pid = NULL, started_at = NULL, lane_pass = 0,
       available_at = ?3, due_seen = 0, attempts = ?4, deferrals = ?5, failed_starts = ?6,
       last_reason = coalesce(?7, last_reason), exit_code = NULL, signal = NULL, error = ?8
 WHERE id = ?1 AND state = 'running' AND run_id = ?2;

-- name: end
-- The gate, to the end. A run that never started has used no attempt. (The claim has taken the
-- pass of its lane.)
UPDATE job
   SET state = ?3, reason = ?4, finished_at = ?5, pid = NULL, exit_code = ?6, signal = ?7, error = ?8,
       last_reason = coalesce(?9, last_reason), started_at = coalesce(?10, started_at), attempts = max(0, attempts - ?11)
 WHERE id = ?1 AND state = 'running' AND run_id = ?2;

-- name: exited
UPDATE run
   SET pid = coalesce(?3, pid), started_at = coalesce(?4, started_at), exited_at = coalesce(?5, exited_at), exit_code = ?6,
       leftovers = coalesce(?7, leftovers), max_rss_bytes = coalesce(?8, max_rss_bytes), user_ms = coalesce(?9, user_ms),
       system_ms = coalesce(?10, system_ms)
 WHERE id = ?1 AND job_id = ?2 AND finished_at IS NULL
   AND EXISTS (SELECT 1 FROM job WHERE id = ?2 AND state = 'running' AND run_id = ?1);

-- name: facts
SELECT attempts, max_attempts, deferrals, failed_starts, policy,
       EXISTS (SELECT 1 FROM cancel WHERE job_id = ?1 AND closed_at IS NULL)
         -- No job of a task with a stop request is retried, although the task waits for the real
         -- end of a critical one.
         OR (task_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM task WHERE id = job.task_id AND state = 'running' AND stop_at IS NULL)),
       task_id, EXISTS (SELECT 1 FROM dependency WHERE on_job = ?1 AND state = 'unmet'), stop_group IS NOT NULL,
       owner IS NOT NULL
  FROM job WHERE id = ?1 AND state = 'running' AND run_id = ?2;

-- name: result
-- A statement of its own, because few jobs write a result: SQLite compiles the guard of `result`
-- into each statement that names it.
UPDATE job SET result = ?3 WHERE id = ?1 AND state = 'running' AND run_id = ?2;

-- name: started
-- Of a job's own run, or of the run of its check, while that is open and owns the job.
UPDATE run SET pid = ?2, started_at = ?3
 WHERE id = ?1 AND finished_at IS NULL
   AND EXISTS (SELECT 1 FROM job WHERE id = run.job_id AND state = 'running' AND run_id = coalesce(run.parent, run.id));

-- name: started_job
UPDATE job SET pid = ?2, started_at = ?3
 WHERE id = (SELECT job_id FROM run WHERE id = ?1 AND exited_at IS NULL) AND state = 'running' AND run_id = ?1;
