UPDATE slot SET last_at = ?3, n = min(n + ?4, ?8), job_id = ?6, decided_at = ?7
 WHERE schedule_id = ?1 AND state = 'skipped' AND reason = ?5 AND last_at < ?2
   AND at = (SELECT max(at) FROM slot WHERE schedule_id = ?1)
