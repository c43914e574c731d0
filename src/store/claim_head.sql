SELECT id, priority FROM job
 WHERE queue = ?1 AND state = 'queued' AND hold IS NULL
 ORDER BY priority DESC, id LIMIT 1
