-- Queues that something is counted in, after ?1, ?2 at most: one step of the index for each. Then: it has no row, and a live job is counted in
-- it, or a count is one that no file can have. (Of ended jobs alone a queue needs no row: `queue rm` has taken it away.)
WITH RECURSIVE counted (queue, step) AS (
  SELECT (SELECT min(queue) FROM tally WHERE queue > ?1), 1
  UNION ALL
  SELECT (SELECT min(queue) FROM tally WHERE queue > counted.queue), step + 1
    FROM counted WHERE counted.queue IS NOT NULL AND step < ?2)
SELECT queue,
       NOT EXISTS (SELECT 1 FROM queue q WHERE q.name = counted.queue)
       AND EXISTS (SELECT 1 FROM tally t WHERE t.queue = counted.queue AND t.n <> 0
                      AND (t.state NOT IN ('done', 'failed', 'cancelled') OR t.hold <> '' OR t.n NOT BETWEEN 0 AND 1000000000))
  FROM counted WHERE queue IS NOT NULL
