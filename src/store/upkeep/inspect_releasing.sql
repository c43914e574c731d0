-- Resources that are being torn down, after number ?1, ?2 at most. Then: the job that must wait for it does not.
SELECT r.id, EXISTS (SELECT 1 FROM job WHERE id = coalesce(r.job_id, (SELECT job_id FROM run WHERE id = r.run_id)) AND state = 'queued' AND untorn = 0)
  FROM resource r WHERE r.state = 'releasing' AND r.state <> 'released' AND r.id > ?1 ORDER BY r.id LIMIT ?2
