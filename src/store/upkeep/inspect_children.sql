-- Jobs that wait for others, after number ?1, ?2 at most. Then: it waits for nothing that there is, or not for all that there is.
SELECT id,
       (unmet > 0) IS NOT EXISTS (SELECT 1 FROM dependency WHERE job_id = job.id AND state = 'unmet')
       OR (broken > 0) IS NOT EXISTS (SELECT 1 FROM dependency WHERE job_id = job.id AND state = 'broken')
  FROM job WHERE state = 'queued' AND hold = 'dependency' AND id > ?1 ORDER BY id LIMIT ?2
