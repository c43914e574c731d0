-- The queues that have something ready, are not paused and have a free slot. Counts come from `tally`.
SELECT q.name, CAST(q.slots - coalesce(r.n, 0) AS INTEGER), q.max_runtime_ms
  FROM tally t
  JOIN queue q ON q.name = t.queue
  LEFT JOIN tally r ON r.state = 'running' AND r.hold = '' AND r.queue = t.queue
 WHERE t.state = 'queued' AND t.hold = '' AND t.n > 0
   AND q.paused = 0 AND (q.slots IS NULL OR q.slots > coalesce(r.n, 0))
