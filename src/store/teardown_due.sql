SELECT id, attempts FROM resource
 WHERE state = 'releasing' AND errand IS NULL AND (next_at <= ?1 OR next_at > ?2)
 ORDER BY next_at, id LIMIT ?3
