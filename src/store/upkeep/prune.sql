-- name: gone
-- Not a resource whose auxiliary run is still open (it was released by force): the thread
-- that watches that run reads this row.
SELECT id FROM resource
 WHERE state = 'released' AND released_at < ?1
   AND NOT EXISTS (SELECT 1 FROM run WHERE resource_id = resource.id AND finished_at IS NULL)
 LIMIT ?2;

-- name: hook_runs
DELETE FROM run WHERE hook_id IN (SELECT id FROM hook WHERE job_id = ?1) RETURNING id;

-- name: jobs
-- Jobs that ended before ?1, oldest first, after (?2, ?3), at most ?4. Then: it may be removed. Not
-- one that a live job waits for, not one with a run that is open or whose end was recorded later
-- (without a worker no process could see it), not one with a resource to tear down or a hook to
-- run, and not a step of a task that has not ended as long ago: a task is removed as a whole.
SELECT finished_at, id,
           NOT EXISTS (SELECT 1 FROM dependency d JOIN job child ON child.id = d.job_id
                        WHERE d.on_job = job.id AND child.state IN ('queued', 'running'))
       AND NOT EXISTS (SELECT 1 FROM run WHERE job_id = job.id AND (finished_at IS NULL OR finished_at >= ?1))
       AND NOT EXISTS (SELECT 1 FROM blocking_resource w WHERE w.job_id = job.id)
       AND NOT EXISTS (SELECT 1 FROM hook WHERE job_id = job.id AND (outcome IS NULL OR closed_at >= ?1))
       AND NOT EXISTS (SELECT 1 FROM task WHERE id = job.task_id AND (state = 'running' OR finished_at >= ?1))
  FROM job
 WHERE state IN ('done', 'failed', 'cancelled') AND finished_at < ?1 AND (finished_at, id) > (?2, ?3)
 ORDER BY finished_at, id LIMIT ?4;

-- name: lane
DELETE FROM lane
 WHERE key = ?1 AND (max_running = 1 OR of_array = 1) AND running = 0
   AND NOT EXISTS (SELECT 1 FROM job WHERE job.lane = ?1 AND job.lane > '');

-- name: queue
DELETE FROM queue
 WHERE name = ?1 AND paused = 0 AND on_failure = 'none' AND slots IS NULL AND max_runtime_ms IS NULL AND launcher IS NULL AND head_id IS NULL
   AND NOT EXISTS (SELECT 1 FROM tally WHERE queue = ?1 AND n <> 0)
   AND NOT EXISTS (SELECT 1 FROM job WHERE queue = ?1 AND state = 'queued' AND hold IS NULL);

-- name: resources
-- Released resources of a job and its runs. One whose auxiliary run is still open (it was released
-- by force meanwhile) is removed later.
SELECT r.id FROM resource r
 WHERE r.job_id = ?1 AND r.state = 'released' AND NOT EXISTS (SELECT 1 FROM run WHERE resource_id = r.id AND finished_at IS NULL)
UNION ALL
SELECT r.id FROM run CROSS JOIN resource r ON r.run_id = run.id
 WHERE run.job_id = ?1 AND r.state = 'released' AND NOT EXISTS (SELECT 1 FROM run WHERE resource_id = r.id AND finished_at IS NULL);

-- name: revisions
SELECT id FROM pipeline
 WHERE applied_at < ?1
   AND revision < (SELECT max(revision) FROM pipeline newer WHERE newer.name = pipeline.name)
   AND NOT EXISTS (SELECT 1 FROM task WHERE pipeline_id = pipeline.id);

-- name: run_events
-- The claims and ends of the runs of a job. Each is the first event after the one that its run
-- names: all ids in between were never given out, or are gone.
DELETE FROM event
 WHERE job_id IS NULL AND run_id IN (SELECT id FROM run WHERE job_id = ?1)
   AND id IN (SELECT (SELECT min(id) FROM event WHERE id > claimed_after) FROM run WHERE job_id = ?1
              UNION ALL
              SELECT (SELECT min(id) FROM event WHERE id > ended_after) FROM run WHERE job_id = ?1);

-- name: runs_pruned_below
INSERT INTO meta (key, value) VALUES ('runs_pruned_below', ?1)
ON CONFLICT DO UPDATE SET value = max(CAST(value AS INTEGER), ?1);

-- name: tally
DELETE FROM tally
 WHERE queue = ?1
   AND NOT EXISTS (SELECT 1 FROM queue WHERE name = ?1)
   AND NOT EXISTS (SELECT 1 FROM tally WHERE queue = ?1 AND n <> 0);

-- name: tasks
-- Tasks that ended before ?1, oldest first, after (?2, ?3), at most ?4. Then: it may be removed. A
-- resource that is not torn down yet belongs to its task, and is shown with it.
SELECT finished_at, id,
           NOT EXISTS (SELECT 1 FROM job WHERE task_id = task.id)
       AND NOT EXISTS (SELECT 1 FROM resource WHERE task_id = task.id AND state <> 'released')
  FROM task
 WHERE state <> 'running' AND finished_at < ?1 AND (finished_at, id) > (?2, ?3)
 ORDER BY finished_at, id LIMIT ?4;
