-- Each dependency on a job that has ended takes its truth (of the job ?2 alone, where it is given). The triggers count it at the job that waits.
UPDATE dependency
   SET state = (SELECT truth FROM dependency_truth t WHERE t.job_id = dependency.job_id AND t.on_job = dependency.on_job)
 WHERE on_job = ?1 AND state = 'unmet' AND (?2 IS NULL OR job_id = ?2)
