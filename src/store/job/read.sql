-- name: counts
SELECT state, hold, sum(n) FROM tally GROUP BY state, hold HAVING sum(n) <> 0;

-- name: dependencies
SELECT d.on_job, d.need, d.state, p.state, p.reason
  FROM dependency d LEFT JOIN job p ON p.id = d.on_job
 WHERE d.job_id = ?1 ORDER BY d.on_job;

-- name: ended_since
SELECT id, finished_at FROM job WHERE state IN ('done', 'failed', 'cancelled') AND finished_at >= ?1 ORDER BY finished_at DESC LIMIT ?2;

-- name: ended_many
SELECT 1 FROM job WHERE finished_at >= ?1 LIMIT 1 OFFSET ?2;

-- name: events
SELECT seq, at, job_id, run_id, kind, reason, detail FROM history WHERE job_id = ?1 ORDER BY seq DESC, run_id DESC LIMIT ?2;

-- name: lanes
SELECT key, max_running, running,
       (SELECT count(*) FROM (SELECT 1 FROM job WHERE lane = key AND state = 'queued' AND lane IS NOT NULL AND coalesce(hold, 'lane') = 'lane'
                               LIMIT 10000)),
       of_array
  FROM lane ORDER BY key;

-- name: oldest
-- In each queue the oldest job of each priority is first in its range of the index, after those
-- that were moved, of which there are few.
WITH RECURSIVE level (queue, priority) AS (
  SELECT t.queue, (SELECT max(priority) FROM job WHERE queue = t.queue AND state = 'queued' AND hold IS NULL)
    FROM tally t WHERE t.state = 'queued' AND t.hold = '' AND t.n > 0
  UNION ALL
  SELECT l.queue, (SELECT max(priority) FROM job WHERE queue = l.queue AND state = 'queued' AND hold IS NULL AND priority < l.priority)
    FROM level l WHERE l.priority IS NOT NULL
  LIMIT 10000)
SELECT created_at FROM job WHERE id = (
  SELECT min(id) FROM (
    SELECT (SELECT id FROM job WHERE queue = l.queue AND priority = l.priority AND state = 'queued' AND hold IS NULL AND place IS NULL
             ORDER BY rank LIMIT 1) AS id
      FROM level l WHERE l.priority IS NOT NULL
    UNION ALL
    SELECT id FROM job WHERE state = 'queued' AND place IS NOT NULL AND hold IS NULL));

-- name: queues
SELECT q.name, q.slots, q.paused, q.max_runtime_ms, q.on_failure = 'pause',
       CASE WHEN q.paused THEN q.paused_by END, CASE WHEN q.paused THEN q.paused_at END, q.launcher, q.launcher_options,
       coalesce((SELECT n FROM tally WHERE state = 'running' AND hold = '' AND queue = q.name), 0),
       coalesce((SELECT n FROM tally WHERE state = 'queued' AND hold = '' AND queue = q.name), 0),
       coalesce((SELECT sum(n) FROM tally WHERE state = 'queued' AND hold > '' AND queue = q.name), 0)
  FROM queue q ORDER BY q.name;

-- name: secrets
SELECT policy FROM job
 WHERE state IN ('queued', 'running') AND instr(policy, '"secrets"') + instr(policy, '"kept"') > 0;

-- name: seen
SELECT (SELECT coalesce(max(id), 0) FROM event),
       coalesce((SELECT finished_at FROM job WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1), 0);

-- name: labels
WITH RECURSIVE named (label) AS (
     SELECT min(label) FROM job WHERE label IS NOT NULL
     UNION ALL
     SELECT (SELECT min(label) FROM job WHERE label IS NOT NULL AND label > named.label) FROM named
     WHERE named.label IS NOT NULL)
 SELECT label FROM named WHERE label IS NOT NULL LIMIT ?1;

-- name: stuck
-- (`+id`: in the order of the table, it would read all runs that there ever were.)
SELECT id, job_id, error FROM run WHERE finished_at IS NULL AND error IS NOT NULL ORDER BY +id;

-- name: wide
-- Slots of the worker's machine that running jobs take, besides one each: those of a queue with a
-- launcher take none.
SELECT (SELECT coalesce(sum(slots - 1), 0) FROM job
         WHERE state = 'running' AND slots > 1 AND queue NOT IN (SELECT name FROM queue WHERE launcher IS NOT NULL))
     - (SELECT coalesce(sum(n), 0) FROM tally
         WHERE state = 'running' AND queue IN (SELECT name FROM queue WHERE launcher IS NOT NULL));

-- name: told
-- (The claims and the ends of runs have no job here; `ended_since` has the ends.)
SELECT id, job_id FROM event WHERE id > ?1 AND job_id IS NOT NULL ORDER BY id LIMIT ?2;
