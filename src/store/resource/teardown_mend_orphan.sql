UPDATE resource SET state = 'releasing'
 WHERE id = ?1 AND state = 'held'
   AND (   (run_id  IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run  WHERE id = resource.run_id AND finished_at IS NULL))
        OR (job_id  IS NOT NULL AND NOT EXISTS (SELECT 1 FROM job  WHERE id = resource.job_id AND state IN ('queued', 'running')))
        OR (task_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM task WHERE id = resource.task_id AND state = 'running')))
