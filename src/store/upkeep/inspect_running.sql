-- Of each queue that something runs in: whether so many are counted.
SELECT EXISTS (
  SELECT 1 FROM (SELECT queue, count(*) AS n FROM job WHERE state = 'running' AND state <> 'done' GROUP BY queue) r
   WHERE r.n IS NOT (SELECT n FROM tally WHERE queue = r.queue AND state = 'running' AND hold = ''))
