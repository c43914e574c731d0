SELECT q.name, q.slots, q.paused, q.max_runtime_ms,
       coalesce((SELECT n FROM tally WHERE state = 'running' AND hold = '' AND queue = q.name), 0),
       coalesce((SELECT n FROM tally WHERE state = 'queued' AND hold = '' AND queue = q.name), 0),
       coalesce((SELECT sum(n) FROM tally WHERE state = 'queued' AND hold > '' AND queue = q.name), 0)
  FROM queue q ORDER BY q.name
