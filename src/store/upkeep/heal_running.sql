-- A freshly claimed run has no pid yet, and is whole.
SELECT job.id, job.state, job.run_id,
       'state ' || job.state || ', run ' || coalesce(job.run_id, 'none') || ', pid ' || coalesce(job.pid, 'none') || ', reason ' || coalesce(job.reason, 'none'),
       run.outcome, run.reason
  FROM job LEFT JOIN run ON run.id = job.run_id AND run.job_id = job.id AND run.kind = 'job'
 WHERE job.state = 'running' AND job.state <> 'done'
   AND job.run_id IS NOT NULL AND job.started_at IS NOT NULL AND job.finished_at IS NULL AND job.reason IS NULL
   AND (run.id IS NULL OR run.finished_at IS NOT NULL)
 ORDER BY job.id LIMIT ?1
