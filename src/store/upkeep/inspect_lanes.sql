-- Of each lane that something runs in, whether so many are counted; and whether any other one says so.
SELECT EXISTS (
         SELECT 1 FROM (SELECT lane, count(*) AS n FROM job WHERE state = 'running' AND state <> 'done' AND lane IS NOT NULL GROUP BY lane) r
           JOIN lane ON lane.key = r.lane WHERE lane.running <> r.n)
    OR EXISTS (
         SELECT 1 FROM lane WHERE running <> 0
            AND key NOT IN (SELECT lane FROM job WHERE state = 'running' AND state <> 'done' AND lane IS NOT NULL))
