-- Dependencies on a job that has ended take their truth: that of the job ?2 alone, where it is given; otherwise ?3 at most. The triggers count it at
-- the job that waits.
UPDATE dependency
   SET state = (SELECT truth FROM dependency_truth t WHERE t.job_id = dependency.job_id AND t.on_job = dependency.on_job)
 WHERE on_job = ?1 AND state = 'unmet'
   AND (job_id = ?2 OR ?2 IS NULL AND job_id IN (SELECT job_id FROM dependency WHERE on_job = ?1 AND state = 'unmet' LIMIT ?3))
