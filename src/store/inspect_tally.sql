-- Queues that something is counted in, after ?1, ?2 at most: one step of the index for each. Then: a count other than zero, and no row of
-- the queue, although no job is ready in it.
WITH RECURSIVE counted (queue, step) AS (
  SELECT (SELECT min(queue) FROM tally WHERE queue > ?1), 1
  UNION ALL
  SELECT (SELECT min(queue) FROM tally WHERE queue > counted.queue), step + 1
    FROM counted WHERE counted.queue IS NOT NULL AND step < ?2)
SELECT queue,
       NOT EXISTS (SELECT 1 FROM queue q WHERE q.name = counted.queue)
       AND EXISTS (SELECT 1 FROM tally t WHERE t.queue = counted.queue AND t.n <> 0)
  FROM counted WHERE queue IS NOT NULL
