SELECT q.name, j.id, j.priority, q.max_runtime_ms
  FROM job j CROSS JOIN queue q ON q.name = j.queue
 WHERE j.id = ?1 AND j.state = 'queued' AND j.hold IS NULL AND q.paused = 0 AND q.is_full = 0
