UPDATE job SET pid = ?2, started_at = ?3
 WHERE id = (SELECT job_id FROM run WHERE id = ?1 AND exited_at IS NULL) AND state = 'running' AND run_id = ?1
