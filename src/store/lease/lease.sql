-- name: event
INSERT INTO event (job_id, run_id, kind, detail, at)
SELECT id, coalesce(?2, run_id), ?3, ?4, ?5 FROM job WHERE id = ?1;

-- name: of_ended_runs
DELETE FROM lease
 WHERE run_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run WHERE id = lease.run_id AND finished_at IS NULL);

-- name: take
INSERT INTO lease (name, nonce, job_id, pid, command, why, boot_id, since)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
 WHERE NOT EXISTS (SELECT 1 FROM lease WHERE name = ?1);

-- name: take_for_run
-- The run's own nonce names the holding; the command is that of the job, which says more than the
-- run.
INSERT INTO lease (name, nonce, run_id, job_id, pid, command, why, boot_id, since)
SELECT ?1, run.nonce, run.id, run.job_id, run.pid, coalesce(job.command, '[]'), ?3, run.boot_id, ?4
  FROM run LEFT JOIN job ON job.id = run.job_id
 WHERE run.id = ?2 AND run.finished_at IS NULL
   AND NOT EXISTS (SELECT 1 FROM lease WHERE name = ?1);
