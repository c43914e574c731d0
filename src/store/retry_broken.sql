SELECT d.on_job FROM dependency d LEFT JOIN dependency_truth t ON t.job_id = d.job_id AND t.on_job = d.on_job
 WHERE d.job_id = ?1 AND d.state <> 'met' AND coalesce(t.truth, d.state) = 'broken'
 ORDER BY d.on_job
