-- `attempt` of an errand of a job counts how often it was begun for this run of the job.
INSERT INTO run (id, job_id, kind, parent, workspace, attempt, nonce, instance, boot_id, claimed_at)
SELECT ?1, ?2, ?3, ?4, ?5, 1 + (SELECT count(*) FROM run WHERE job_id = ?2 AND kind = ?3 AND parent = ?4), ?6, ?7, ?8, ?9
 WHERE ?4 IS NULL
    OR (EXISTS (SELECT 1 FROM job WHERE id = ?2 AND state = 'running' AND run_id = ?4)
        AND NOT EXISTS (SELECT 1 FROM run WHERE job_id = ?2 AND kind = ?3 AND parent = ?4 AND finished_at IS NULL))
