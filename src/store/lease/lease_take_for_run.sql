-- The run's own nonce names the holding; what the run executes says more than the run does.
INSERT INTO lease (name, nonce, run_id, job_id, pid, command, why, boot_id, since)
SELECT ?1, run.nonce, run.id, run.job_id, run.pid, coalesce(job.command, '[]'), ?3, run.boot_id, ?4
  FROM run LEFT JOIN job ON job.id = run.job_id
 WHERE run.id = ?2 AND run.finished_at IS NULL
   AND NOT EXISTS (SELECT 1 FROM lease WHERE name = ?1)
