-- Queues with something ready, after ?1, ?2 at most: one step of the index for each. Then: it has no row; it is not counted.
WITH RECURSIVE ready (queue, step) AS (
  SELECT (SELECT min(queue) FROM job WHERE state = 'queued' AND hold IS NULL AND queue > ?1), 1
  UNION ALL
  SELECT (SELECT min(queue) FROM job WHERE state = 'queued' AND hold IS NULL AND queue > ready.queue), step + 1
    FROM ready WHERE ready.queue IS NOT NULL AND step < ?2)
SELECT queue,
       NOT EXISTS (SELECT 1 FROM queue q WHERE q.name = ready.queue) AND length(queue) BETWEEN 1 AND 200,
       NOT EXISTS (SELECT 1 FROM tally t WHERE t.queue = ready.queue AND t.state = 'queued' AND t.hold = '' AND t.n > 0)
  FROM ready WHERE queue IS NOT NULL
