-- The index of the jobs of arrays answers this, one look for each such lane.
DELETE FROM lane
 WHERE of_array = 1 AND running = 0
   AND NOT EXISTS (SELECT 1 FROM job WHERE job.lane = lane.key AND job.lane IS NOT NULL AND job.array_index IS NOT NULL)
