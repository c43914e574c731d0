INSERT INTO slot (schedule_id, at, last_at, state, job_id, decided_at)
SELECT ?1, ?2, ?2, 'fired', ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM slot WHERE schedule_id = ?1 AND at = ?2)
