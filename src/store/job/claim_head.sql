SELECT name, head_id, head_priority, max_runtime_ms FROM queue
 WHERE name = ?1 AND head_id IS NOT NULL AND paused = 0 AND is_full = 0
