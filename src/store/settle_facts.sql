SELECT attempts, max_attempts, deferrals, unstarts, policy,
       EXISTS (SELECT 1 FROM cancel WHERE job_id = ?1 AND closed_at IS NULL)
  FROM job WHERE id = ?1 AND state = 'running' AND run_id = ?2
