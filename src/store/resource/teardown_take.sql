-- The gate of an errand.
UPDATE resource SET errand = ?2
 WHERE id = ?1 AND state = 'releasing' AND errand IS NULL AND torn = ?3 AND (next_at <= ?4 OR next_at > ?5)
