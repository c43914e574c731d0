-- The instant is seen to have passed for these jobs. What is written is their own time, not the present one: so a clock that
-- was set wrong for a moment releases nothing that is delayed later.
UPDATE job SET due_seen = available_at
 WHERE id IN (SELECT id FROM job WHERE state = 'queued' AND hold = 'time' AND available_at <= ?1 ORDER BY available_at LIMIT ?2)
   AND state = 'queued'
