SELECT coalesce(r.job_id, (SELECT job_id FROM run WHERE id = r.run_id)) FROM resource r WHERE r.id = ?1
