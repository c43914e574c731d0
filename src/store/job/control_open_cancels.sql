SELECT job.id, job.run_id
  FROM cancel CROSS JOIN job ON job.id = cancel.job_id
 WHERE cancel.closed_at IS NULL AND job.state = 'running'
 ORDER BY cancel.id
