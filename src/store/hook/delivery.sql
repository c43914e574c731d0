-- name: due
-- Two ranges of the index: due, and delayed by a wrong clock.
SELECT * FROM (SELECT id, attempts FROM hook WHERE outcome IS NULL AND auxiliary_run_id IS NULL AND next_at <= ?1 ORDER BY next_at, id LIMIT ?3)
UNION ALL
SELECT * FROM (SELECT id, attempts FROM hook WHERE outcome IS NULL AND auxiliary_run_id IS NULL AND next_at > ?2 ORDER BY next_at, id LIMIT ?3)
LIMIT ?3;

-- name: take
-- The gate of a run.
UPDATE hook SET auxiliary_run_id = ?2
 WHERE id = ?1 AND outcome IS NULL AND auxiliary_run_id IS NULL AND (next_at <= ?3 OR next_at > ?4);

-- name: facts
-- Of the open run; if ?2 is NULL, of one that could not be started.
SELECT attempts, job_id FROM hook WHERE id = ?1 AND outcome IS NULL AND auxiliary_run_id IS ?2;

-- name: close
-- `last_error` is kept if there is no new one: it explains why the hook was late.
UPDATE hook SET auxiliary_run_id = NULL, outcome = ?3, closed_at = ?4, attempts = ?5, last_error = coalesce(?6, last_error)
 WHERE id = ?1 AND outcome IS NULL AND auxiliary_run_id IS ?2;

-- name: again
UPDATE hook SET auxiliary_run_id = NULL, attempts = ?3, next_at = ?4, last_error = ?5
 WHERE id = ?1 AND outcome IS NULL AND auxiliary_run_id IS ?2;

-- name: event
INSERT INTO event (job_id, run_id, kind, detail)
SELECT job_id, ?2, ?3,
       substr(event || coalesce(' of rule ' || rule, '') || CASE WHEN ?3 = 'hook_done' THEN '' ELSE ': ' || ?4 END, 1, 1000)
  FROM hook WHERE id = ?1;

-- name: free
UPDATE hook SET auxiliary_run_id = NULL
 WHERE id = ?1 AND auxiliary_run_id IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM run WHERE id = hook.auxiliary_run_id AND hook_id = hook.id AND finished_at IS NULL);
