-- name: due
-- Two ranges of the index: due, and delayed by a wrong clock.
SELECT * FROM (SELECT id, attempts FROM resource WHERE state = 'releasing' AND auxiliary_run_id IS NULL AND next_at <= ?1 ORDER BY next_at, id LIMIT ?3)
UNION ALL
SELECT * FROM (SELECT id, attempts FROM resource WHERE state = 'releasing' AND auxiliary_run_id IS NULL AND next_at > ?2 ORDER BY next_at, id LIMIT ?3)
LIMIT ?3;

-- name: failed
-- Of the open auxiliary run; if ?2 is NULL, of one that could not be started.
UPDATE resource SET auxiliary_run_id = NULL, torn = 0, attempts = attempts + 1, last_error = ?4, next_at = ?3
 WHERE id = ?1 AND auxiliary_run_id IS ?2 AND state = 'releasing';

-- name: forget
DELETE FROM run
 WHERE resource_id = ?1 AND finished_at IS NOT NULL
   AND id < (SELECT min(id) FROM (SELECT id FROM run WHERE resource_id = ?1 ORDER BY id DESC LIMIT ?2))
RETURNING id;

-- name: gone
-- The gate, to the end. `last_error` is kept: it explains why the teardown took long.
UPDATE resource SET state = 'released', released_at = ?3, released_by = ?4, auxiliary_run_id = NULL, torn = 0
 WHERE id = ?1 AND auxiliary_run_id = ?2 AND state = 'releasing';

-- name: job_of
SELECT coalesce(r.job_id, (SELECT job_id FROM run WHERE id = r.run_id)) FROM resource r WHERE r.id = ?1;

-- name: clear_auxiliary
UPDATE resource SET auxiliary_run_id = NULL
 WHERE id = ?1 AND auxiliary_run_id IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM run WHERE id = resource.auxiliary_run_id AND resource_id = resource.id AND finished_at IS NULL);

-- name: repair_job
UPDATE job SET unreleased = (SELECT count(*) FROM blocking_resource w WHERE w.job_id = ?1) WHERE id = ?1 AND state = 'queued';

-- name: repair_orphan
UPDATE resource SET state = 'releasing'
 WHERE id = ?1 AND state = 'held'
   AND (   (run_id  IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run  WHERE id = resource.run_id AND finished_at IS NULL))
        OR (job_id  IS NOT NULL AND NOT EXISTS (SELECT 1 FROM job  WHERE id = resource.job_id AND state IN ('queued', 'running')))
        OR (task_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM task WHERE id = resource.task_id AND state = 'running')));

-- name: take
-- The gate of an auxiliary run.
UPDATE resource SET auxiliary_run_id = ?2
 WHERE id = ?1 AND state = 'releasing' AND auxiliary_run_id IS NULL AND torn = ?3 AND (next_at <= ?4 OR next_at > ?5);
