-- What a job waits for is counted once more.
UPDATE job
   SET unmet  = (SELECT count(*) FROM dependency WHERE job_id = ?1 AND state = 'unmet'),
       broken = (SELECT count(*) FROM dependency WHERE job_id = ?1 AND state = 'broken')
 WHERE id = ?1 AND state = 'queued'
