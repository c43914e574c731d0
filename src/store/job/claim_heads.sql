-- The open queues that have something ready, by the order of their heads. The caller takes the first.
SELECT name, head_id, head_priority, max_runtime_ms FROM queue
 WHERE head_id IS NOT NULL AND paused = 0 AND is_full = 0
 ORDER BY head_priority DESC, head_id
