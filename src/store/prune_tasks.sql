-- What is not torn down yet belongs to its task, and is shown with it.
SELECT id FROM task
 WHERE state <> 'running' AND finished_at < ?1
   AND NOT EXISTS (SELECT 1 FROM job WHERE task_id = task.id)
   AND NOT EXISTS (SELECT 1 FROM resource WHERE task_id = task.id AND state <> 'released')
 ORDER BY finished_at LIMIT ?2
