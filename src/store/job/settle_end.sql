-- The gate, to the end. A run that never started has used no attempt.
UPDATE job
   SET state = ?3, reason = ?4, finished_at = ?5, pid = NULL, lane_pass = 0, exit_code = ?6, signal = ?7, error = ?8,
       last_reason = coalesce(?9, last_reason), result = coalesce(?10, result), started_at = coalesce(?11, started_at),
       attempts = max(0, attempts - ?12)
 WHERE id = ?1 AND state = 'running' AND run_id = ?2
