-- The two never name the same one, as what is next comes after what is decided; and a list that is not sorted reads no more than the
-- first rows of the two indexes.
SELECT id FROM schedule WHERE paused = 0 AND next_at <= ?1
UNION ALL
SELECT id FROM schedule WHERE paused = 0 AND decided_until > ?2 AND decided_until > pruned_until AND next_at IS NOT NULL
LIMIT ?3
