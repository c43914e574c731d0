SELECT d.job_id
  FROM dependency d
  JOIN job child ON child.id = d.job_id
 WHERE d.on_job = ?1 AND d.state = 'broken' AND child.state = 'queued'
 ORDER BY d.job_id LIMIT ?2
