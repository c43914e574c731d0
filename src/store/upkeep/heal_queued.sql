-- Clean and queued; held by a person where ?2 says so. A key that another live job has by now is given up. What it waits for was
-- not counted while it was in another state.
UPDATE job
   SET state = 'queued', reason = NULL, run_id = NULL, pid = NULL, started_at = NULL, finished_at = NULL, lane_pass = 0,
       user_hold = max(user_hold, ?2),
       unmet  = (SELECT count(*) FROM dependency WHERE job_id = ?1 AND state = 'unmet'),
       broken = (SELECT count(*) FROM dependency WHERE job_id = ?1 AND state = 'broken'),
       attempts = max(0, attempts), deferrals = max(0, deferrals), unstarts = max(0, unstarts), max_attempts = max(1, max_attempts),
       unique_key = iif(EXISTS (SELECT 1 FROM job o WHERE o.unique_key = job.unique_key AND o.state IN ('queued', 'running') AND o.id <> job.id),
                        NULL, unique_key)
 WHERE id = ?1
