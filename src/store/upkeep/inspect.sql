-- name: cancels
SELECT EXISTS (SELECT 1 FROM cancel WHERE closed_at IS NULL
                  AND NOT EXISTS (SELECT 1 FROM job WHERE id = cancel.job_id AND state IN ('queued', 'running')));

-- name: suspensions
SELECT EXISTS (SELECT 1 FROM suspend WHERE closed_at IS NULL
                  AND NOT EXISTS (SELECT 1 FROM job WHERE id = suspend.job_id AND state = 'running' AND run_id = suspend.run_id));

-- name: children
-- Jobs with dependencies, after number ?1, at most ?2. Then: whether its counts of dependencies are
-- wrong.
SELECT id,
       (unmet > 0) IS NOT EXISTS (SELECT 1 FROM dependency WHERE job_id = job.id AND state = 'unmet')
       OR (broken > 0) IS NOT EXISTS (SELECT 1 FROM dependency WHERE job_id = job.id AND state = 'broken')
  FROM job WHERE state = 'queued' AND hold = 'dependency' AND id > ?1 ORDER BY id LIMIT ?2;

-- name: empty_lanes
-- Lanes after ?1, at most ?2. Then: it has no job and no setting (or was created for an array that
-- is gone).
SELECT key, (max_running = 1 OR of_array = 1) AND running = 0 AND NOT EXISTS (SELECT 1 FROM job WHERE job.lane = lane.key AND job.lane > '')
  FROM lane WHERE key > ?1 ORDER BY key LIMIT ?2;

-- name: auxiliaries
-- Resources that are being torn down, after number ?1, at most ?2. Then: its auxiliary run is over.
SELECT id, auxiliary_run_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run WHERE id = resource.auxiliary_run_id AND resource_id = resource.id AND finished_at IS NULL)
  FROM resource WHERE state = 'releasing' AND state <> 'released' AND id > ?1 ORDER BY id LIMIT ?2;

-- name: held
-- Resources that are held, after number ?1, at most ?2. Then: its owner has ended, or is unknown.
SELECT r.id,
          (r.run_id  IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run  WHERE id = r.run_id AND finished_at IS NULL))
       OR (r.job_id  IS NOT NULL AND NOT EXISTS (SELECT 1 FROM job  WHERE id = r.job_id AND state IN ('queued', 'running')))
       OR (r.task_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM task WHERE id = r.task_id AND state = 'running'))
  FROM resource r WHERE r.state = 'held' AND r.state <> 'released' AND r.id > ?1 ORDER BY r.id LIMIT ?2;

-- name: hooks
-- Hooks in progress, after number ?1, at most ?2. Then: its run is over.
SELECT id, NOT EXISTS (SELECT 1 FROM run WHERE id = hook.auxiliary_run_id AND hook_id = hook.id AND finished_at IS NULL)
  FROM hook WHERE auxiliary_run_id IS NOT NULL AND id > ?1 ORDER BY +id LIMIT ?2;

-- name: lanes
-- For each lane with running jobs, whether the count is right; and whether any other lane has a
-- count.
SELECT EXISTS (
         SELECT 1 FROM (SELECT lane, count(*) AS n FROM job WHERE state = 'running' AND state <> 'done' AND lane IS NOT NULL GROUP BY lane) r
           JOIN lane ON lane.key = r.lane WHERE lane.running <> r.n)
    OR EXISTS (
         SELECT 1 FROM lane WHERE running <> 0
            AND key NOT IN (SELECT lane FROM job WHERE state = 'running' AND state <> 'done' AND lane IS NOT NULL));

-- name: parents
-- Jobs with dependants, after number ?1, at most ?2: one step of the index for each. Then: it has
-- ended, and no worker is about to resolve them.
WITH RECURSIVE parent (id, step) AS (
  SELECT (SELECT min(on_job) FROM dependency WHERE state = 'unmet' AND on_job > ?1), 1
  UNION ALL
  SELECT (SELECT min(on_job) FROM dependency WHERE state = 'unmet' AND on_job > parent.id), step + 1
    FROM parent WHERE parent.id IS NOT NULL AND step < ?2)
SELECT parent.id, coalesce((SELECT state NOT IN ('queued', 'running') AND NOT EXISTS (SELECT 1 FROM unresolved WHERE job_id = job.id) FROM job WHERE id = parent.id), 0)
  FROM parent WHERE parent.id IS NOT NULL;

-- name: queues
-- Queues after ?1, at most ?2. Then: its head or is_full is wrong; it has no job and no setting;
-- its counts are wrong (an impossible one, a ready job that does not exist, a running job that does
-- not exist).
WITH running (queue) AS (SELECT DISTINCT queue FROM job WHERE state = 'running' AND state <> 'done')
SELECT q.name,
       (q.head_priority, q.head_rank, q.head_id)
       IS NOT (SELECT priority, rank, id FROM job WHERE queue = q.name AND state = 'queued' AND hold IS NULL
                ORDER BY priority DESC, rank, id LIMIT 1)
       OR q.is_full <> CASE WHEN q.slots IS NULL THEN 0
                            ELSE q.slots < (SELECT taken + wanted FROM queue_load WHERE queue = q.name) END,
       q.paused = 0 AND q.on_failure = 'none' AND q.slots IS NULL AND q.max_runtime_ms IS NULL AND q.launcher IS NULL
       AND NOT EXISTS (SELECT 1 FROM tally WHERE queue = q.name AND n <> 0),
       EXISTS (SELECT 1 FROM tally t
                WHERE t.queue = q.name
                  AND (t.n NOT BETWEEN 0 AND 1000000000
                       OR (t.n <> 0 AND (t.state NOT IN ('queued', 'running', 'done', 'failed', 'cancelled')
                                         OR t.hold NOT IN ('', 'user', 'task', 'dependency', 'resource', 'time', 'slots', 'pool', 'lane')))
                       OR (t.n > 0 AND t.state = 'queued' AND t.hold = ''
                           AND NOT EXISTS (SELECT 1 FROM job WHERE queue = q.name AND state = 'queued' AND hold IS NULL))
                       OR (t.n > 0 AND t.state = 'running' AND t.hold = '' AND q.name NOT IN (SELECT queue FROM running))))
  FROM queue q WHERE q.name > ?1 ORDER BY q.name LIMIT ?2;

-- name: ready
-- Queues with a ready job, after ?1, at most ?2: one step of the index for each. Then: it has no
-- row; it is not counted.
WITH RECURSIVE ready (queue, step) AS (
  SELECT (SELECT min(queue) FROM job WHERE state = 'queued' AND hold IS NULL AND queue > ?1), 1
  UNION ALL
  SELECT (SELECT min(queue) FROM job WHERE state = 'queued' AND hold IS NULL AND queue > ready.queue), step + 1
    FROM ready WHERE ready.queue IS NOT NULL AND step < ?2)
SELECT queue,
       NOT EXISTS (SELECT 1 FROM queue q WHERE q.name = ready.queue) AND length(queue) BETWEEN 1 AND 200,
       NOT EXISTS (SELECT 1 FROM tally t WHERE t.queue = ready.queue AND t.state = 'queued' AND t.hold = '' AND t.n > 0)
  FROM ready WHERE queue IS NOT NULL;

-- name: releasing
-- Resources that are being torn down, after number ?1, at most ?2. Then: the job that must wait for
-- it does not.
SELECT r.id, EXISTS (SELECT 1 FROM job WHERE id = coalesce(r.job_id, (SELECT job_id FROM run WHERE id = r.run_id)) AND state = 'queued' AND unreleased = 0)
  FROM resource r WHERE r.state = 'releasing' AND r.state <> 'released' AND r.id > ?1 ORDER BY r.id LIMIT ?2;

-- name: running
-- For each queue with running jobs, whether the count is right.
SELECT EXISTS (
  SELECT 1 FROM (SELECT queue, count(*) AS n FROM job WHERE state = 'running' AND state <> 'done' GROUP BY queue) r
   WHERE r.n IS NOT (SELECT n FROM tally WHERE queue = r.queue AND state = 'running' AND hold = ''));

-- name: stranded
-- Lanes with waiting members, and their queues, after (?1, ?2), at most ?3: one step of the index
-- for each, however many members there are. The last column: the lane has room, and none of them is
-- ready.
WITH RECURSIVE waiting (lane, queue, step) AS (
  SELECT * FROM (SELECT lane, queue, 1 FROM job WHERE state = 'queued' AND lane IS NOT NULL AND coalesce(hold, 'lane') = 'lane'
                    AND (lane, queue) > (?1, ?2)
                  ORDER BY lane, queue LIMIT 1)
  UNION ALL
  SELECT j.lane, j.queue, step + 1 FROM waiting w CROSS JOIN job j
    ON j.id = coalesce(
         (SELECT id FROM job WHERE state = 'queued' AND lane IS NOT NULL AND coalesce(hold, 'lane') = 'lane'
             AND lane = w.lane AND queue > w.queue ORDER BY queue LIMIT 1),
         (SELECT id FROM job WHERE state = 'queued' AND lane IS NOT NULL AND coalesce(hold, 'lane') = 'lane'
             AND lane > w.lane ORDER BY lane, queue LIMIT 1))
   WHERE step < ?3)
SELECT w.lane, w.queue,
       NOT EXISTS (SELECT 1 FROM job WHERE lane = w.lane AND queue = w.queue AND state = 'queued' AND lane_pass = 1)
       AND coalesce((SELECT running < max_running FROM lane WHERE key = w.lane), 1)
  FROM waiting w;

-- name: tally
-- Queues with counts, after ?1, at most ?2: one step of the index for each. Then: it has no row,
-- and a live job is counted in it, or a count is impossible. (A queue with only ended jobs needs no
-- row: `queue rm` has removed it.)
WITH RECURSIVE counted (queue, step) AS (
  SELECT (SELECT min(queue) FROM tally WHERE queue > ?1), 1
  UNION ALL
  SELECT (SELECT min(queue) FROM tally WHERE queue > counted.queue), step + 1
    FROM counted WHERE counted.queue IS NOT NULL AND step < ?2)
SELECT queue,
       NOT EXISTS (SELECT 1 FROM queue q WHERE q.name = counted.queue)
       AND EXISTS (SELECT 1 FROM tally t WHERE t.queue = counted.queue AND t.n <> 0
                      AND (t.state NOT IN ('done', 'failed', 'cancelled') OR t.hold <> '' OR t.n NOT BETWEEN 0 AND 1000000000))
  FROM counted WHERE queue IS NOT NULL;

-- name: tasks
-- Running tasks after number ?1, at most ?2. Then: no worker will advance it, because its job is
-- gone, or has ended, or waits although the task has a stop request.
SELECT t.id, j.id IS NULL OR j.state IN ('done', 'failed', 'cancelled') OR (j.state = 'queued' AND t.stop_at IS NOT NULL)
  FROM task t LEFT JOIN job j ON j.id = t.job_id
 WHERE t.state = 'running' AND t.id > ?1 ORDER BY t.id LIMIT ?2;

-- name: unreleased
-- Jobs that wait for a teardown, after number ?1, at most ?2. Then: they count another number.
SELECT id, unreleased <> (SELECT count(*) FROM blocking_resource w WHERE w.job_id = job.id)
  FROM job WHERE state = 'queued' AND unreleased > 0 AND id > ?1 ORDER BY id LIMIT ?2;

-- name: wide
-- Queued jobs that take several slots, after number ?1, at most ?2. Then: whether it takes more
-- than there are is wrong.
SELECT id, too_wide <> (SELECT too_wide FROM wide_truth WHERE job_id = job.id)
  FROM job WHERE state = 'queued' AND slots > 1 AND id > ?1 ORDER BY id LIMIT ?2;

-- name: pooled
-- Live jobs that use pools, after number ?1, at most ?2. Then: its rows of the pools are wrong.
SELECT id,
       EXISTS (SELECT 1 FROM pool_use_truth t
                WHERE t.job_id = job.id
                  AND NOT EXISTS (SELECT 1 FROM pool_use u
                                   WHERE u.job_id = t.job_id AND u.pool = t.pool
                                     AND (u.amount, u.queue, u.lane, u.priority, u.rank, u.waits)
                                         IS (t.amount, t.queue, t.lane, t.priority, t.rank, t.waits)))
       OR EXISTS (SELECT 1 FROM pool_use u WHERE u.job_id = job.id
                     AND NOT EXISTS (SELECT 1 FROM pool_use_truth t WHERE t.job_id = u.job_id AND t.pool = u.pool))
       OR (state = 'running'
           AND EXISTS (SELECT 1 FROM pool_use u JOIN pool p ON p.name = u.pool
                        WHERE u.job_id = job.id AND u.amount > (SELECT count(*) FROM pool_unit n WHERE n.job_id = job.id AND n.pool = u.pool)
                          AND p.size > (SELECT count(*) FROM pool_unit n WHERE n.pool = u.pool)))
       OR (state = 'queued' AND (EXISTS (SELECT 1 FROM pool_unit WHERE job_id = job.id)
                                 OR pool_pass <> EXISTS (SELECT 1 FROM admitted_by_pools WHERE job_id = job.id)))
  FROM job WHERE uses IS NOT NULL AND state IN ('queued', 'running') AND id > ?1 ORDER BY id LIMIT ?2;

-- name: pool_strays
SELECT job_id FROM pool_unit n WHERE NOT EXISTS (SELECT 1 FROM job WHERE id = n.job_id AND state = 'running' AND uses IS NOT NULL)
UNION
SELECT job_id FROM pool_use u
 WHERE NOT EXISTS (SELECT 1 FROM job WHERE id = u.job_id AND state IN ('queued', 'running') AND uses IS NOT NULL) LIMIT ?1;

-- name: pools
-- Pools whose head is not the true one.
SELECT name FROM pool p WHERE head_id IS NOT (SELECT head_id FROM pool_head_truth WHERE pool = p.name);
