INSERT INTO queue (name)
SELECT ?1
 WHERE NOT EXISTS (SELECT 1 FROM queue WHERE name = ?1)
   AND (EXISTS (SELECT 1 FROM tally WHERE queue = ?1 AND state IN ('queued', 'running') AND n <> 0)
        OR EXISTS (SELECT 1 FROM job WHERE queue = ?1 AND state = 'queued' AND hold IS NULL))
