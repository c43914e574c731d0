-- `attempt` of a check counts how often it was asked about this run.
INSERT INTO run (id, job_id, kind, parent, attempt, nonce, instance, boot_id, claimed_at)
SELECT ?1, id, 'check', ?3, 1 + (SELECT count(*) FROM run WHERE job_id = ?2 AND kind = 'check' AND parent = ?3), ?4, ?5, ?6, ?7
  FROM job WHERE id = ?2 AND state = 'running' AND run_id = ?3
