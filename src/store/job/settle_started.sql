-- Of a job's own run, or of the run of its check, as long as that is open and the job is owned by it.
UPDATE run SET pid = ?2, started_at = ?3
 WHERE id = ?1 AND finished_at IS NULL
   AND EXISTS (SELECT 1 FROM job WHERE id = run.job_id AND state = 'running' AND run_id = coalesce(run.parent, run.id))
