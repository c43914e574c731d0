-- A task whose current job has ended, and what is needed to move it on.
SELECT t.stage, t.stop_at IS NOT NULL, t.stop_why, t.held, t.params, coalesce(p.spec, ''), j.state, coalesce(j.error, '')
  FROM task t
  JOIN job j ON j.id = t.job_id
  LEFT JOIN pipeline p ON p.id = t.pipeline_id
 WHERE t.id = ?1 AND t.job_id = ?2 AND t.state = 'running' AND j.state IN ('done', 'failed', 'cancelled')
