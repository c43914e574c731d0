-- Only a run that owns its job gets in.
INSERT INTO workspace_use (run_id, key, dir)
SELECT ?1, key, dir FROM workspace
 WHERE key = ?2 AND recipe IS ?3 AND (synced OR boot_id = ?5)
   AND EXISTS (SELECT 1 FROM job WHERE id = ?4 AND state = 'running' AND run_id = ?1)
RETURNING dir
