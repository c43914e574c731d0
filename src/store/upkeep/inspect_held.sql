-- Resources that are held, after number ?1, ?2 at most. Then: its owner has ended, or is not known.
SELECT r.id,
          (r.run_id  IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run  WHERE id = r.run_id AND finished_at IS NULL))
       OR (r.job_id  IS NOT NULL AND NOT EXISTS (SELECT 1 FROM job  WHERE id = r.job_id AND state IN ('queued', 'running')))
       OR (r.task_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM task WHERE id = r.task_id AND state = 'running'))
  FROM resource r WHERE r.state = 'held' AND r.state <> 'released' AND r.id > ?1 ORDER BY r.id LIMIT ?2
