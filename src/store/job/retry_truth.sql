UPDATE dependency
   SET state = (SELECT truth FROM dependency_truth t WHERE t.job_id = dependency.job_id AND t.on_job = dependency.on_job)
 WHERE job_id = ?1 AND state <> 'met' AND EXISTS (SELECT 1 FROM job WHERE id = dependency.on_job)
