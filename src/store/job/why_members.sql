SELECT id FROM job WHERE state = 'running' AND state <> 'done' AND lane = ?1 ORDER BY id LIMIT ?2
