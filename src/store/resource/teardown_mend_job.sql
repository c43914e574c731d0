UPDATE job SET untorn = (SELECT count(*) FROM resource_in_the_way w WHERE w.job_id = ?1) WHERE id = ?1 AND state = 'queued'
