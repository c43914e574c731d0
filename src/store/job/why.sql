-- name: ahead
-- Higher priority, and the same priority but older: each a range of the index.
SELECT count(*) FROM (
  SELECT 1 FROM job WHERE queue = ?1 AND state = 'queued' AND hold IS NULL AND priority > ?2
  UNION ALL
  SELECT 1 FROM job WHERE queue = ?1 AND state = 'queued' AND hold IS NULL AND priority = ?2 AND id < ?3
  LIMIT ?4);

-- name: members
SELECT id FROM job WHERE state = 'running' AND state <> 'done' AND lane = ?1 ORDER BY id LIMIT ?2;

-- name: queue
SELECT paused, slots, coalesce((SELECT n FROM tally WHERE state = 'running' AND hold = '' AND queue = ?1), 0)
  FROM queue WHERE name = ?1;
