-- How the latest run ended that has used an attempt or has said "not now": that of a job which is not tried again.
UPDATE job
   SET (exit_code, signal) = (SELECT exit_code, signal FROM run
                               WHERE job_id = ?1 AND kind = 'job' AND reason IS NOT NULL ORDER BY id DESC LIMIT 1)
 WHERE id = ?1 AND state = 'queued'
