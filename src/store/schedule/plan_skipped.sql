INSERT INTO slot (schedule_id, at, last_at, n, state, reason, job_id, decided_at)
SELECT ?1, ?2, ?3, ?4, 'skipped', ?5, ?6, ?7 WHERE NOT EXISTS (SELECT 1 FROM slot WHERE schedule_id = ?1 AND at = ?2)
