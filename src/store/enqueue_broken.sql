-- The first job that this one waits for in vain.
SELECT d.on_job, d.need, parent.state, coalesce(parent.reason, '')
  FROM dependency d JOIN job parent ON parent.id = d.on_job
 WHERE d.job_id = ?1 AND d.state = 'broken'
 ORDER BY d.on_job LIMIT 1
