-- name: enter
-- Only a run that owns its job may enter.
UPDATE run SET dir = (SELECT dir FROM workspace WHERE key = ?2)
 WHERE id = ?1 AND finished_at IS NULL AND dir IS NULL
   AND EXISTS (SELECT 1 FROM workspace WHERE key = ?2 AND prepare_command IS ?3 AND (synced OR boot_id = ?5))
   AND EXISTS (SELECT 1 FROM job WHERE id = ?4 AND state = 'running' AND run_id = ?1)
RETURNING dir;

-- name: made
INSERT INTO workspace (key, dir, prepare_command, bytes, prepared_at, last_used_at, measured_at, boot_id)
VALUES (?1, ?2, ?3, ?4, ?5, ?5, iif(?4 IS NULL, NULL, ?5), ?6);

-- name: makers
-- The runs that prepare, the jobs that create an empty workspace themselves, and foreground
-- commands.
SELECT nonce FROM run WHERE finished_at IS NULL AND kind IN ('job', 'prepare')
UNION ALL
SELECT nonce FROM lease WHERE run_id IS NULL AND name GLOB 'workspace/*';

-- name: may_be_made
-- The run owns its job, and it prepares the workspace itself: by an open auxiliary run (?3), or
-- immediately if no other process does.
SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1 AND state = 'running' AND run_id = ?2)
   AND iif(?3, EXISTS (SELECT 1 FROM run WHERE job_id = ?1 AND parent = ?2 AND kind = 'prepare' AND workspace = ?4 AND finished_at IS NULL),
               NOT EXISTS (SELECT 1 FROM lease WHERE name = 'workspace/' || ?4));

-- name: to_measure
SELECT dir FROM workspace
 WHERE (measured_at IS NULL OR measured_at < last_used_at) AND NOT EXISTS (SELECT 1 FROM run WHERE run.dir = workspace.dir AND run.finished_at IS NULL)
 ORDER BY measured_at LIMIT 1;

-- name: columns
-- The columns that WorkspaceRow::from_row reads, in its order.
SELECT key, dir, prepare_command, bytes, prepared_at, last_used_at, measured_at,
       (SELECT count(*) FROM run WHERE run.dir = workspace.dir AND run.finished_at IS NULL)
  FROM workspace
