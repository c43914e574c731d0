-- Open runs of jobs, and of checks, that own nothing. Other kinds are not a job's.
SELECT r.id, r.nonce, r.job_id FROM run r
 WHERE r.finished_at IS NULL AND r.kind IN ('job', 'check')
   AND NOT EXISTS (SELECT 1 FROM job WHERE id = r.job_id AND state = 'running' AND run_id = coalesce(r.parent, r.id))
 ORDER BY r.job_id, r.id LIMIT ?1
