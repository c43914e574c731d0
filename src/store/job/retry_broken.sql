SELECT on_job FROM dependency d
 WHERE job_id = ?1 AND state <> 'met'
   AND coalesce((SELECT truth FROM dependency_truth t WHERE t.job_id = d.job_id AND t.on_job = d.on_job), state) = 'broken'
 ORDER BY on_job
