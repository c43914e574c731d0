-- name: count
INSERT INTO counter (name, n, last_at, note) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE SET n = n + excluded.n, last_at = excluded.last_at, note = coalesce(excluded.note, note);

-- name: hold
UPDATE job SET user_hold = 1
 WHERE id = ?1 AND state = 'queued' AND EXISTS (SELECT 1 FROM run WHERE job_id = ?1 AND finished_at IS NULL AND kind = 'job');
