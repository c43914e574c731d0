UPDATE job SET user_hold = 1
 WHERE id = ?1 AND state = 'queued' AND EXISTS (SELECT 1 FROM run WHERE job_id = ?1 AND finished_at IS NULL AND kind = 'job')
