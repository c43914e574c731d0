-- Each dependency on a job that has ended takes its truth. The triggers count it at the job that waits.
UPDATE dependency
   SET state = (SELECT truth FROM dependency_truth t WHERE t.job_id = dependency.job_id AND t.on_job = dependency.on_job)
 WHERE on_job = ?1 AND state = 'unmet'
