DELETE FROM queue
 WHERE name = ?1 AND paused = 0 AND slots IS NULL AND max_runtime_ms IS NULL AND head_id IS NULL
   AND NOT EXISTS (SELECT 1 FROM tally WHERE queue = ?1 AND n <> 0)
   AND NOT EXISTS (SELECT 1 FROM job WHERE queue = ?1 AND state = 'queued' AND hold IS NULL)
