-- Two stretches of the index: due, and put off by a clock that was wrong.
SELECT * FROM (SELECT id, attempts FROM resource WHERE state = 'releasing' AND errand IS NULL AND next_at <= ?1 ORDER BY next_at, id LIMIT ?3)
UNION ALL
SELECT * FROM (SELECT id, attempts FROM resource WHERE state = 'releasing' AND errand IS NULL AND next_at > ?2 ORDER BY next_at, id LIMIT ?3)
LIMIT ?3
