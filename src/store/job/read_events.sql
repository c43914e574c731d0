SELECT id, at, job_id, run_id, kind, reason, detail FROM event WHERE job_id = ?1 ORDER BY id DESC LIMIT ?2
