SELECT id FROM schedule WHERE paused = 0 AND next_at <= ?1
UNION
SELECT id FROM schedule WHERE paused = 0 AND decided_until > ?2 AND decided_until > pruned_until AND next_at IS NOT NULL
LIMIT ?3
