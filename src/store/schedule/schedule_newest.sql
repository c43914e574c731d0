SELECT at, last_at, n, state, reason, job_id, decided_at FROM slot WHERE schedule_id = ?1 AND state = ?2 ORDER BY at DESC LIMIT 1
