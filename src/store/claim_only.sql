SELECT id, priority FROM job WHERE id = ?2 AND queue = ?1 AND state = 'queued' AND hold IS NULL
