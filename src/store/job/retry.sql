-- The gate of a person's retry. A time that has passed would end the job again at once, so it goes.
UPDATE job
   SET state = 'queued', reason = NULL, run_id = NULL, pid = NULL, started_at = NULL, finished_at = NULL, lane_pass = 0, key_taken = 0,
       attempts = 0, deferrals = 0, unstarts = 0, available_at = 0, due_seen = 0, expires_at = NULL,
       exit_code = NULL, signal = NULL, error = NULL, progress = NULL, result = NULL,
       unmet  = (SELECT count(*) FROM dependency WHERE job_id = ?1 AND state = 'unmet'),
       broken = (SELECT count(*) FROM dependency WHERE job_id = ?1 AND state = 'broken')
 WHERE id = ?1 AND state IN ('failed', 'cancelled')
