-- Jobs that have ended while somebody still waits for them to: of the jobs that are waited for, from number ?1 on, ?2 at most
-- are looked at, by one step of the index each.
WITH RECURSIVE parent (id, step) AS (
  SELECT (SELECT min(on_job) FROM dependency WHERE state = 'unmet' AND on_job >= ?1), 1
  UNION ALL
  SELECT (SELECT min(on_job) FROM dependency WHERE state = 'unmet' AND on_job > parent.id), step + 1
    FROM parent WHERE parent.id IS NOT NULL AND step < ?2)
SELECT parent.id FROM parent CROSS JOIN job ON job.id = parent.id
 WHERE job.state NOT IN ('queued', 'running')
