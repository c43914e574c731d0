-- name: cancels
UPDATE cancel SET closed_at = ?1
 WHERE closed_at IS NULL AND NOT EXISTS (SELECT 1 FROM job WHERE id = cancel.job_id AND state IN ('queued', 'running'));

-- name: suspensions
UPDATE suspend SET closed_at = ?1
 WHERE closed_at IS NULL AND NOT EXISTS (SELECT 1 FROM job WHERE id = suspend.job_id AND state = 'running' AND run_id = suspend.run_id);

-- name: lanes
-- A lane counts its running jobs. Compares the lanes whose count is not zero, and the lanes of
-- running jobs.
UPDATE lane
   SET running = (SELECT count(*) FROM job WHERE job.state = 'running' AND job.state <> 'done' AND job.lane = lane.key)
 WHERE key IN (SELECT key FROM lane WHERE running <> 0
               UNION SELECT lane FROM job WHERE state = 'running' AND state <> 'done' AND lane IS NOT NULL)
   AND running <> (SELECT count(*) FROM job WHERE job.state = 'running' AND job.state <> 'done' AND job.lane = lane.key);

-- name: queue
INSERT INTO queue (name)
SELECT ?1
 WHERE NOT EXISTS (SELECT 1 FROM queue WHERE name = ?1)
   AND (EXISTS (SELECT 1 FROM tally WHERE queue = ?1 AND state IN ('queued', 'running') AND n <> 0)
        OR EXISTS (SELECT 1 FROM job WHERE queue = ?1 AND state = 'queued' AND hold IS NULL));

-- name: recount
INSERT INTO tally (state, hold, queue, n) SELECT state, coalesce(hold, ''), queue, count(*) FROM job GROUP BY state, coalesce(hold, ''), queue;

-- name: waiting
-- Counts the dependencies of a job again.
UPDATE job
   SET unmet  = (SELECT count(*) FROM dependency WHERE job_id = ?1 AND state = 'unmet'),
       broken = (SELECT count(*) FROM dependency WHERE job_id = ?1 AND state = 'broken')
 WHERE id = ?1 AND state = 'queued';

-- name: wide
-- Decides again whether a job takes more slots than there are.
UPDATE job SET too_wide = NOT too_wide
 WHERE id = ?1 AND state = 'queued' AND too_wide <> (SELECT too_wide FROM wide_truth WHERE job_id = job.id);
