UPDATE dependency SET state = 'unmet'
 WHERE on_job = ?1 AND state = 'broken' AND EXISTS (SELECT 1 FROM job WHERE id = dependency.job_id AND state = 'queued')
