-- name: decided
UPDATE schedule SET decided_until = ?3, next_at = ?4 WHERE id = ?1 AND decided_until = ?2 AND paused = 0;

-- name: due
-- Two ranges of an index each: due, and decided beyond the clock, which was set back.
SELECT * FROM (SELECT id FROM schedule WHERE paused = 0 AND next_at <= ?1 ORDER BY next_at LIMIT ?3)
UNION
SELECT * FROM (SELECT id FROM schedule
                WHERE paused = 0 AND decided_until > ?2 AND decided_until > pruned_until AND next_at IS NOT NULL
                ORDER BY decided_until LIMIT ?3)
LIMIT ?3;

-- name: fired
INSERT INTO occurrence (schedule_id, at, last_at, state, job_id, decided_at, by_hand)
SELECT ?1, ?2, ?2, 'fired', ?3, ?4, ?5 WHERE NOT EXISTS (SELECT 1 FROM occurrence WHERE schedule_id = ?1 AND at = ?2);

-- name: fired_after_all
-- It was skipped before the clock was set back.
UPDATE occurrence SET state = 'fired', reason = NULL, last_at = at, n = 1, job_id = ?3, decided_at = ?4, by_hand = ?5, may_live = 1
 WHERE schedule_id = ?1 AND at = ?2 AND state = 'skipped';

-- name: skipped
INSERT INTO occurrence (schedule_id, at, last_at, n, state, reason, job_id, decided_at)
SELECT ?1, ?2, ?3, ?4, 'skipped', ?5, ?6, ?7 WHERE NOT EXISTS (SELECT 1 FROM occurrence WHERE schedule_id = ?1 AND at = ?2);

-- name: skipped_more
UPDATE occurrence SET last_at = ?3, n = min(n + ?4, ?8), job_id = ?6, decided_at = ?7
 WHERE schedule_id = ?1 AND state = 'skipped' AND reason = ?5 AND last_at < ?2
   AND at = (SELECT max(at) FROM occurrence WHERE schedule_id = ?1);

-- name: see_ends
UPDATE occurrence SET may_live = 0
 WHERE schedule_id = ?1 AND state = 'fired' AND may_live = 1
   AND NOT EXISTS (SELECT 1 FROM job WHERE id = occurrence.job_id AND job.state IN ('queued', 'running'));

-- name: live
SELECT job_id FROM occurrence WHERE schedule_id = ?1 AND state = 'fired' AND may_live = 1 ORDER BY job_id LIMIT ?2;
