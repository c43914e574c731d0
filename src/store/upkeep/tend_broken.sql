SELECT id FROM job WHERE state = 'queued' AND broken > 0 ORDER BY id LIMIT ?1
