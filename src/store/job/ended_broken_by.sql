-- The first job that this one waits for in vain; one that makes it needless before one that fails it.
SELECT d.on_job, d.need, p.state, p.reason
  FROM dependency d LEFT JOIN job p ON p.id = d.on_job
 WHERE d.job_id = ?1 AND d.state = 'broken'
 ORDER BY d.need = 'failed' OR (p.state = 'cancelled' AND p.reason = 'dependency') DESC, d.on_job LIMIT 1
