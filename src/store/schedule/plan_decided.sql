UPDATE schedule SET decided_until = ?3, next_at = ?4 WHERE id = ?1 AND decided_until = ?2 AND paused = 0
