INSERT INTO queue (name)
SELECT DISTINCT t.queue FROM tally t
 WHERE t.state = 'queued' AND t.n > 0 AND length(t.queue) BETWEEN 1 AND 200 AND NOT EXISTS (SELECT 1 FROM queue WHERE name = t.queue)
