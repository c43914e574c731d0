INSERT INTO run (id, job_id, kind, attempt, nonce, instance, boot_id, claimed_at)
SELECT ?1, id, 'job', attempts, ?3, ?4, ?5, ?6 FROM job WHERE id = ?2
