DELETE FROM lane
 WHERE key = ?1 AND (max_running = 1 OR of_array = 1) AND running = 0
   AND NOT EXISTS (SELECT 1 FROM job WHERE job.lane = ?1 AND job.lane > '')
