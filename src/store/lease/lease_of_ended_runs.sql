DELETE FROM lease
 WHERE run_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run WHERE id = lease.run_id AND finished_at IS NULL)
