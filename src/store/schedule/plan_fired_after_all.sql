-- It was skipped before the clock was set back.
UPDATE slot SET state = 'fired', reason = NULL, last_at = at, n = 1, job_id = ?3, decided_at = ?4
 WHERE schedule_id = ?1 AND at = ?2 AND state = 'skipped'
