-- Open runs of jobs, and of the commands around them, that own nothing. What has no parent is not a job's.
SELECT r.id, r.nonce, r.job_id FROM run r
 WHERE r.finished_at IS NULL AND (r.kind = 'job' OR r.parent IS NOT NULL)
   AND NOT EXISTS (SELECT 1 FROM job WHERE id = r.job_id AND state = 'running' AND run_id = coalesce(r.parent, r.id))
 ORDER BY r.job_id, r.id LIMIT ?1
