SELECT id, state FROM job
 WHERE unique_key = ?1 AND unique_key IS NOT NULL AND state IN ('queued', 'running') AND key_taken = 0
   AND NOT EXISTS (SELECT 1 FROM cancel WHERE job_id = job.id AND closed_at IS NULL)
