-- One step of the index for each queue of each lane that has members waiting, however many there are.
WITH RECURSIVE waiting (lane, queue) AS (
  SELECT * FROM (SELECT lane, queue FROM job WHERE state = 'queued' AND lane IS NOT NULL AND coalesce(hold, 'lane') = 'lane'
                  ORDER BY lane, queue LIMIT 1)
  UNION ALL
  SELECT j.lane, j.queue FROM waiting w CROSS JOIN job j
    ON j.id = coalesce(
         (SELECT id FROM job WHERE state = 'queued' AND lane IS NOT NULL AND coalesce(hold, 'lane') = 'lane'
             AND lane = w.lane AND queue > w.queue ORDER BY queue LIMIT 1),
         (SELECT id FROM job WHERE state = 'queued' AND lane IS NOT NULL AND coalesce(hold, 'lane') = 'lane'
             AND lane > w.lane ORDER BY lane, queue LIMIT 1)))
SELECT w.lane, w.queue FROM waiting w
 WHERE NOT EXISTS (SELECT 1 FROM job WHERE lane = w.lane AND queue = w.queue AND state = 'queued' AND lane_pass = 1)
   AND coalesce((SELECT running < max_running FROM lane WHERE key = w.lane), 1)
 LIMIT ?1
