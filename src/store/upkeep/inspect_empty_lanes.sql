-- Lanes after ?1, ?2 at most. Then: it has no job and no setting (or was made for an array, which is gone).
SELECT key, (max_running = 1 OR of_array = 1) AND running = 0 AND NOT EXISTS (SELECT 1 FROM job WHERE job.lane = lane.key AND job.lane > '')
  FROM lane WHERE key > ?1 ORDER BY key LIMIT ?2
