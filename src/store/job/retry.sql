-- name: requeue
-- The gate of a person's retry. An expiry that has passed would end the job again immediately, so
-- it is cleared.
UPDATE job
   SET state = 'queued', reason = NULL, run_id = NULL, pid = NULL, started_at = NULL, finished_at = NULL, lane_pass = 0, key_taken = 0,
       attempts = 0, deferrals = 0, failed_starts = 0, available_at = 0, due_seen = 0, expires_at = NULL,
       exit_code = NULL, signal = NULL, error = NULL, progress = NULL, result = NULL,
       unmet  = (SELECT count(*) FROM dependency WHERE job_id = ?1 AND state = 'unmet'),
       broken = (SELECT count(*) FROM dependency WHERE job_id = ?1 AND state = 'broken')
 WHERE id = ?1 AND state IN ('failed', 'cancelled');

-- name: broken
SELECT on_job FROM dependency d
 WHERE job_id = ?1 AND state <> 'met'
   AND coalesce((SELECT truth FROM dependency_truth t WHERE t.job_id = d.job_id AND t.on_job = d.on_job), state) = 'broken'
 ORDER BY on_job;

-- name: children
UPDATE dependency SET state = 'unmet'
 WHERE on_job = ?1 AND state = 'broken' AND EXISTS (SELECT 1 FROM job WHERE id = dependency.job_id AND state = 'queued');

-- name: dependants
SELECT d.job_id
  FROM dependency d JOIN job child ON child.id = d.job_id
 WHERE d.on_job = ?1 AND d.state = 'broken' AND child.state IN ('failed', 'cancelled') AND child.reason = ?2
 ORDER BY d.job_id LIMIT ?3;

-- name: truth
UPDATE dependency
   SET state = (SELECT truth FROM dependency_truth t WHERE t.job_id = dependency.job_id AND t.on_job = dependency.on_job)
 WHERE job_id = ?1 AND state <> 'met' AND EXISTS (SELECT 1 FROM job WHERE id = dependency.on_job);
