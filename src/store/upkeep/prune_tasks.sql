-- Tasks that ended before ?1, oldest first, after (?2, ?3), ?4 at most. Then: it may go. What is not torn down yet belongs to its task,
-- and is shown with it.
SELECT finished_at, id,
           NOT EXISTS (SELECT 1 FROM job WHERE task_id = task.id)
       AND NOT EXISTS (SELECT 1 FROM resource WHERE task_id = task.id AND state <> 'released')
  FROM task
 WHERE state <> 'running' AND finished_at < ?1 AND (finished_at, id) > (?2, ?3)
 ORDER BY finished_at, id LIMIT ?4
