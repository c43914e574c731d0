-- name: begin
-- `attempt` counts how often it was started for this run of the job; for a resource and a hook, how
-- often that was attempted.
INSERT INTO run (id, job_id, kind, parent, resource_id, workspace, hook_id, attempt, nonce, instance, boot_id, claimed_at)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?11,
       1 + coalesce((SELECT attempts FROM resource WHERE id = ?5), (SELECT attempts FROM hook WHERE id = ?11),
                    (SELECT count(*) FROM run WHERE job_id = ?2 AND kind = ?3 AND parent = ?4)), ?7, ?8, ?9, ?10
 WHERE ?4 IS NULL
    OR (EXISTS (SELECT 1 FROM job WHERE id = ?2 AND state = 'running' AND run_id = ?4)
        AND NOT EXISTS (SELECT 1 FROM run WHERE job_id = ?2 AND kind = ?3 AND parent = ?4 AND finished_at IS NULL));
