-- A count below zero or of no state, or a queue with a ready job of which the counts say that it has none.
SELECT EXISTS (SELECT 1 FROM tally WHERE n < 0 OR state NOT IN ('queued', 'running', 'done', 'failed', 'cancelled')
                  OR hold NOT IN ('', 'user', 'task', 'dependency', 'resource', 'time', 'lane'))
    OR EXISTS (SELECT 1 FROM queue q
                WHERE EXISTS (SELECT 1 FROM job WHERE queue = q.name AND state = 'queued' AND hold IS NULL)
                  AND NOT EXISTS (SELECT 1 FROM tally WHERE state = 'queued' AND hold = '' AND queue = q.name AND n > 0))
    OR (SELECT total(n) FROM tally WHERE state = 'running')
       <> (SELECT count(*) FROM job WHERE state = 'running' AND state <> 'done')
