-- name: change
-- The gate of a change. A new time counts from now on: `due_seen` is what the worker has seen pass
-- of the old one.
UPDATE job
   SET command = ?2, queue = ?3, lane = ?4, priority = ?5, label = ?6, cwd = ?7, due_seen = iif(available_at = ?8, due_seen, 0),
       available_at = ?8, max_attempts = ?9, expires_at = ?10,
       unique_key = ?11, env = ?12, policy = ?13, user_hold = ?14, slots = ?15, uses = ?16
 WHERE id = ?1 AND state = 'queued';

-- name: event
INSERT INTO event (job_id, kind, detail) VALUES (?1, 'changed', ?2);

-- name: key
SELECT id FROM job WHERE unique_key = ?1 AND unique_key IS NOT NULL AND state IN ('queued', 'running') AND key_taken = 0 AND id <> ?2 LIMIT 1;
