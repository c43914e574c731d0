-- name: ask
INSERT INTO cancel (job_id, run_id, why, at) SELECT id, run_id, ?2, max(0, ?3) FROM job WHERE id = ?1;

-- name: open_cancels
-- (Ordered by the id of the cancel, it would read all cancels that there ever were.)
SELECT job.id, job.run_id
  FROM cancel CROSS JOIN job ON job.id = cancel.job_id
 WHERE cancel.closed_at IS NULL AND job.state = 'running'
 ORDER BY cancel.job_id;
