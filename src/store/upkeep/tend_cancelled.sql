SELECT job.id, 'cancelled while it waited'
  FROM cancel CROSS JOIN job ON job.id = cancel.job_id
 WHERE cancel.closed_at IS NULL AND job.state = 'queued'
 ORDER BY cancel.job_id LIMIT ?1
