-- name: insert
INSERT INTO job (command, queue, lane, priority, label, cwd, available_at, max_attempts, created_at, expires_at, unique_key,
                 array_index, env, policy, user_hold, task_id, task_hold, slots, stop_group, uses, owner)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21);

-- name: live
SELECT id, state FROM job
 WHERE unique_key = ?1 AND unique_key IS NOT NULL AND state IN ('queued', 'running') AND key_taken = 0
   AND NOT EXISTS (SELECT 1 FROM cancel WHERE job_id = job.id AND closed_at IS NULL);
