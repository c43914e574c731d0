INSERT INTO lease (name, nonce, job_id, pid, command, why, boot_id, since)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
 WHERE NOT EXISTS (SELECT 1 FROM lease WHERE name = ?1)
