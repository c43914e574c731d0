-- The run owns its job, and it makes the workspace itself: by an open errand (?3), or, where no other process does, at once.
SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1 AND state = 'running' AND run_id = ?2)
   AND iif(?3, EXISTS (SELECT 1 FROM run WHERE job_id = ?1 AND parent = ?2 AND kind = 'prepare' AND workspace = ?4 AND finished_at IS NULL),
               NOT EXISTS (SELECT 1 FROM lease WHERE name = 'workspace/' || ?4))
