-- Lanes with members waiting, and their queues, after (?1, ?2), ?3 at most: one step of the index for each, however many members there
-- are. The last column: the lane has room, and none of them is ready.
WITH RECURSIVE waiting (lane, queue, step) AS (
  SELECT * FROM (SELECT lane, queue, 1 FROM job WHERE state = 'queued' AND lane IS NOT NULL AND coalesce(hold, 'lane') = 'lane'
                    AND (lane, queue) > (?1, ?2)
                  ORDER BY lane, queue LIMIT 1)
  UNION ALL
  SELECT j.lane, j.queue, step + 1 FROM waiting w CROSS JOIN job j
    ON j.id = coalesce(
         (SELECT id FROM job WHERE state = 'queued' AND lane IS NOT NULL AND coalesce(hold, 'lane') = 'lane'
             AND lane = w.lane AND queue > w.queue ORDER BY queue LIMIT 1),
         (SELECT id FROM job WHERE state = 'queued' AND lane IS NOT NULL AND coalesce(hold, 'lane') = 'lane'
             AND lane > w.lane ORDER BY lane, queue LIMIT 1))
   WHERE step < ?3)
SELECT w.lane, w.queue,
       NOT EXISTS (SELECT 1 FROM job WHERE lane = w.lane AND queue = w.queue AND state = 'queued' AND lane_pass = 1)
       AND coalesce((SELECT running < max_running FROM lane WHERE key = w.lane), 1)
  FROM waiting w
