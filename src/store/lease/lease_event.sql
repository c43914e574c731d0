INSERT INTO event (job_id, run_id, kind, detail, at)
SELECT id, coalesce(?2, run_id), ?3, ?4, ?5 FROM job WHERE id = ?1
