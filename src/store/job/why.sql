-- name: ahead
-- Higher priority, and the same priority but a lower rank: each a range of the index.
SELECT count(*) FROM (
  SELECT 1 FROM job WHERE queue = ?1 AND state = 'queued' AND hold IS NULL AND priority > ?2
  UNION ALL
  SELECT 1 FROM job WHERE queue = ?1 AND state = 'queued' AND hold IS NULL AND priority = ?2
     AND rank < (SELECT rank FROM job WHERE id = ?3)
  UNION ALL
  SELECT 1 FROM job WHERE queue = ?1 AND state = 'queued' AND hold IS NULL AND priority = ?2
     AND rank = (SELECT rank FROM job WHERE id = ?3) AND id < ?3
  LIMIT ?4);

-- name: members
-- The running members of a lane, and whether they are suspended.
SELECT id, EXISTS (SELECT 1 FROM suspend WHERE suspend.run_id = job.run_id AND suspend.closed_at IS NULL)
  FROM job WHERE state = 'running' AND state <> 'done' AND lane = ?1 ORDER BY id LIMIT ?2;

-- name: keepers
-- The running jobs that are suspended: first those that a job waits for, then those of its queue.
SELECT j.id, j.queue = (SELECT queue FROM job WHERE id = ?1)
  FROM suspend s CROSS JOIN job j ON j.id = s.job_id
 WHERE s.closed_at IS NULL AND j.state = 'running' AND j.run_id = s.run_id
 ORDER BY EXISTS (SELECT 1 FROM dependency WHERE job_id = ?1 AND on_job = j.id) DESC, 2 DESC, j.id LIMIT ?2;

-- name: queue
SELECT paused, slots, paused_by, paused_at, (SELECT taken FROM queue_load WHERE queue = ?1) FROM queue WHERE name = ?1;

-- name: first
-- The job that is claimed next, and the slots that it takes.
SELECT j.id, j.slots FROM (SELECT head_id FROM queue WHERE head_id IS NOT NULL AND paused = 0 AND is_full = 0
                            ORDER BY head_priority DESC, head_rank, head_id LIMIT 1) q
  JOIN job j ON j.id = q.head_id;

-- name: slots
-- The limits that a job may be too wide for.
SELECT (SELECT nullif(slots, 0) FROM queue WHERE name = ?1),
       (SELECT nullif(CAST(value AS INTEGER), 0) FROM meta WHERE key = 'worker_slots');
