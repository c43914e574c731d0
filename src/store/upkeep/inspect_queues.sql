-- Queues after ?1, ?2 at most. Then: it does not know its head or whether it is full; it has no job and no setting; its counts contradict
-- the truth (one that no file can have, something ready that is not there, something running where nothing is).
WITH running (queue) AS (SELECT DISTINCT queue FROM job WHERE state = 'running' AND state <> 'done')
SELECT q.name,
       (q.head_priority, q.head_id) IS NOT (SELECT priority, id FROM job WHERE queue = q.name AND state = 'queued' AND hold IS NULL
                                             ORDER BY priority DESC, id LIMIT 1)
       OR q.is_full <> (q.slots IS NOT NULL
                        AND q.slots <= coalesce((SELECT n FROM tally WHERE queue = q.name AND state = 'running' AND hold = ''), 0)),
       q.paused = 0 AND q.slots IS NULL AND q.max_runtime_ms IS NULL AND NOT EXISTS (SELECT 1 FROM tally WHERE queue = q.name AND n <> 0),
       EXISTS (SELECT 1 FROM tally t
                WHERE t.queue = q.name
                  AND (t.n NOT BETWEEN 0 AND 1000000000
                       OR (t.n <> 0 AND (t.state NOT IN ('queued', 'running', 'done', 'failed', 'cancelled')
                                         OR t.hold NOT IN ('', 'user', 'task', 'dependency', 'resource', 'time', 'lane')))
                       OR (t.n > 0 AND t.state = 'queued' AND t.hold = ''
                           AND NOT EXISTS (SELECT 1 FROM job WHERE queue = q.name AND state = 'queued' AND hold IS NULL))
                       OR (t.n > 0 AND t.state = 'running' AND t.hold = '' AND q.name NOT IN (SELECT queue FROM running))))
  FROM queue q WHERE q.name > ?1 ORDER BY q.name LIMIT ?2
