-- Higher priority, and the same priority but older: each a stretch of the index.
SELECT count(*) FROM (
  SELECT 1 FROM job WHERE queue = ?1 AND state = 'queued' AND hold IS NULL AND priority > ?2
  UNION ALL
  SELECT 1 FROM job WHERE queue = ?1 AND state = 'queued' AND hold IS NULL AND priority = ?2 AND id < ?3
  LIMIT ?4)
