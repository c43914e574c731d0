-- The gate, back to the queue. `due_seen` goes back too, or a clock that was set back would skip the wait.
UPDATE job
   SET state = 'queued', run_id = NULL, pid = NULL, started_at = NULL, lane_pass = 0,
       available_at = ?3, due_seen = 0, attempts = ?4, deferrals = ?5, unstarts = ?6,
       last_reason = coalesce(?7, last_reason), exit_code = NULL, signal = NULL, error = ?8
 WHERE id = ?1 AND state = 'running' AND run_id = ?2
