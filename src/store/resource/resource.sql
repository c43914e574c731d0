-- name: add
INSERT INTO resource (run_id, job_id, task_id, name, teardown, probe, cwd, env, timeout_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9);

-- name: give_up
UPDATE resource SET state = 'released', released_at = ?2, released_by = 'force', auxiliary_run_id = NULL, torn = 0, again = 0
 WHERE id = ?1 AND state <> 'released';

-- name: replace
-- Recorded again by the same owner. An open auxiliary run is about the earlier resource, and its
-- result is ignored (`again`).
UPDATE resource
   SET teardown = ?5, probe = ?6, cwd = ?7, env = ?8, timeout_ms = ?9, torn = 0, again = (auxiliary_run_id IS NOT NULL), next_at = 0
 WHERE state <> 'released'
   AND id = coalesce((SELECT id FROM resource WHERE run_id = ?1 AND name = ?4 AND state <> 'released'),
                     (SELECT id FROM resource WHERE job_id = ?2 AND name = ?4 AND state <> 'released'),
                     (SELECT id FROM resource WHERE task_id = ?3 AND name = ?4 AND state <> 'released'))
RETURNING id;
