INSERT INTO cancel (job_id, run_id, why, at) SELECT id, run_id, ?2, max(0, ?3) FROM job WHERE id = ?1
