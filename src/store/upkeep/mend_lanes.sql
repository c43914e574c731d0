-- A lane counts its running jobs. Compared are the lanes whose count is not zero, and the lanes of running jobs.
UPDATE lane
   SET running = (SELECT count(*) FROM job WHERE job.state = 'running' AND job.state <> 'done' AND job.lane = lane.key)
 WHERE key IN (SELECT key FROM lane WHERE running <> 0
               UNION SELECT lane FROM job WHERE state = 'running' AND state <> 'done' AND lane IS NOT NULL)
   AND running <> (SELECT count(*) FROM job WHERE job.state = 'running' AND job.state <> 'done' AND job.lane = lane.key)
