-- name: begin
-- `attempt` counts how often it was started for this run of the job; for a resource, how often that
-- was attempted.
INSERT INTO run (id, job_id, kind, parent, resource_id, workspace, attempt, nonce, instance, boot_id, claimed_at)
SELECT ?1, ?2, ?3, ?4, ?5, ?6,
       1 + coalesce((SELECT attempts FROM resource WHERE id = ?5),
                    (SELECT count(*) FROM run WHERE job_id = ?2 AND kind = ?3 AND parent = ?4)), ?7, ?8, ?9, ?10
 WHERE ?4 IS NULL
    OR (EXISTS (SELECT 1 FROM job WHERE id = ?2 AND state = 'running' AND run_id = ?4)
        AND NOT EXISTS (SELECT 1 FROM run WHERE job_id = ?2 AND kind = ?3 AND parent = ?4 AND finished_at IS NULL));

-- name: end
UPDATE run
   SET finished_at = ?2, outcome = ?3, reason = ?4, exit_code = ?5, signal = ?6, error = ?7, pid = coalesce(?8, pid),
       started_at = coalesce(?9, started_at), exited_at = coalesce(?10, exited_at, ?2), leftovers = coalesce(?11, leftovers),
       max_rss_bytes = coalesce(?12, max_rss_bytes), user_ms = coalesce(?13, user_ms), system_ms = coalesce(?14, system_ms)
 WHERE id = ?1 AND kind <> 'job' AND finished_at IS NULL;
