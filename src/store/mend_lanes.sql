-- A lane counts who runs in it. Compared are the lanes that say somebody does, and the lanes that somebody runs in.
UPDATE lane
   SET running = (SELECT count(*) FROM job WHERE job.state = 'running' AND job.state <> 'done' AND job.lane = lane.key)
 WHERE key IN (SELECT key FROM lane WHERE running <> 0
               UNION SELECT lane FROM job WHERE state = 'running' AND state <> 'done' AND lane IS NOT NULL)
   AND running <> (SELECT count(*) FROM job WHERE job.state = 'running' AND job.state <> 'done' AND job.lane = lane.key)
