-- name: count
INSERT INTO counter (name, n, last_at, note) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE SET n = n + excluded.n, last_at = excluded.last_at, note = coalesce(excluded.note, note);
