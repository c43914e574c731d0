SELECT id, 'it had not started by the time it was to expire' FROM job
 WHERE state = 'queued' AND expires_at IS NOT NULL AND attempts = 0 AND deferrals = 0 AND expires_at <= ?2
 ORDER BY expires_at LIMIT ?1
