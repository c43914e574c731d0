-- In each queue the oldest of each priority stands first in its stretch of the index.
WITH RECURSIVE level (queue, priority) AS (
  SELECT t.queue, (SELECT max(priority) FROM job WHERE queue = t.queue AND state = 'queued' AND hold IS NULL)
    FROM tally t WHERE t.state = 'queued' AND t.hold = '' AND t.n > 0
  UNION ALL
  SELECT l.queue, (SELECT max(priority) FROM job WHERE queue = l.queue AND state = 'queued' AND hold IS NULL AND priority < l.priority)
    FROM level l WHERE l.priority IS NOT NULL
  LIMIT 10000)
SELECT created_at FROM job WHERE id = (
  SELECT min((SELECT id FROM job WHERE queue = l.queue AND priority = l.priority AND state = 'queued' AND hold IS NULL ORDER BY id LIMIT 1))
    FROM level l WHERE l.priority IS NOT NULL)
