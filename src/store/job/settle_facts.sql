SELECT attempts, max_attempts, deferrals, unstarts, policy,
       EXISTS (SELECT 1 FROM cancel WHERE job_id = ?1 AND closed_at IS NULL)
         -- A task that was asked to stop wants none of its jobs tried again, though it waits for the honest end of a critical one.
         OR (task_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM task WHERE id = job.task_id AND state = 'running' AND stop_at IS NULL)),
       task_id
  FROM job WHERE id = ?1 AND state = 'running' AND run_id = ?2
