SELECT d.on_job, d.need, d.state, p.state, p.reason
  FROM dependency d LEFT JOIN job p ON p.id = d.on_job
 WHERE d.job_id = ?1 ORDER BY d.on_job
