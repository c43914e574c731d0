-- Jobs that others wait for, after number ?1, ?2 at most: one step of the index for each. Then: it has ended, and no worker is about to tell them.
WITH RECURSIVE parent (id, step) AS (
  SELECT (SELECT min(on_job) FROM dependency WHERE state = 'unmet' AND on_job > ?1), 1
  UNION ALL
  SELECT (SELECT min(on_job) FROM dependency WHERE state = 'unmet' AND on_job > parent.id), step + 1
    FROM parent WHERE parent.id IS NOT NULL AND step < ?2)
SELECT parent.id, coalesce((SELECT state NOT IN ('queued', 'running') AND NOT EXISTS (SELECT 1 FROM untold WHERE job_id = job.id) FROM job WHERE id = parent.id), 0)
  FROM parent WHERE parent.id IS NOT NULL
