-- Jobs that ended before ?1, oldest first, after (?2, ?3), ?4 at most. Then: it may go. Not one that a live job waits for, not one
-- with a run that is still open or whose end was written down later (while no worker lived no process could see it), not one that has left
-- something to tear down, and not a step of a task that has not ended as long ago: a task goes whole.
SELECT finished_at, id,
           NOT EXISTS (SELECT 1 FROM dependency d JOIN job child ON child.id = d.job_id
                        WHERE d.on_job = job.id AND child.state IN ('queued', 'running'))
       AND NOT EXISTS (SELECT 1 FROM run WHERE job_id = job.id AND (finished_at IS NULL OR finished_at >= ?1))
       AND NOT EXISTS (SELECT 1 FROM resource_in_the_way w WHERE w.job_id = job.id)
       AND NOT EXISTS (SELECT 1 FROM task WHERE id = job.task_id AND (state = 'running' OR finished_at >= ?1))
  FROM job
 WHERE state IN ('done', 'failed', 'cancelled') AND finished_at < ?1 AND (finished_at, id) > (?2, ?3)
 ORDER BY finished_at, id LIMIT ?4
