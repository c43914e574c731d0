-- Two stretches of an index each: due, and decided further than the clock, which was set back.
SELECT * FROM (SELECT id FROM schedule WHERE paused = 0 AND next_at <= ?1 ORDER BY next_at LIMIT ?3)
UNION
SELECT * FROM (SELECT id FROM schedule
                WHERE paused = 0 AND decided_until > ?2 AND decided_until > pruned_until AND next_at IS NOT NULL
                ORDER BY decided_until LIMIT ?3)
LIMIT ?3
