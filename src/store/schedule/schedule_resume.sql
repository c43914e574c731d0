UPDATE schedule SET paused = 0, resumed_at = ?2 WHERE id = ?1 AND paused = 1
