-- Jobs that wait for a teardown, after number ?1, ?2 at most. Then: there is none.
SELECT id, NOT EXISTS (SELECT 1 FROM resource_in_the_way w WHERE w.job_id = job.id)
  FROM job WHERE state = 'queued' AND untorn > 0 AND id > ?1 ORDER BY id LIMIT ?2
