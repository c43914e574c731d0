-- name: add
INSERT INTO schedule (name, cron, zone, catch_up, catch_up_max, template, created_at, decided_until, next_at, overlap, jitter_ms, boot_id)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10, ?11);

-- name: boot
-- An occurrence that no planner has decided yet is due by the worker that starts, unless it passed
-- in a pause.
UPDATE schedule SET boot_id = ?1, next_at = ?2, decided_until = min(decided_until, ?2 - 1)
 WHERE boot_id IS NOT NULL
   AND (boot_id <> ?1 OR (next_at IS NOT NULL AND paused = 0 AND coalesce(resumed_at, 0) <= next_at));

-- name: columns
SELECT id, name, cron, zone, catch_up, catch_up_max, paused, paused_at, resumed_at, template, decided_until, next_at, pruned_until,
       created_at, last_error, overlap, jitter_ms, boot_id FROM schedule

-- name: is_old
occurrence.at < ?1 AND occurrence.last_at < ?1
   AND occurrence.at IS NOT (SELECT max(at) FROM occurrence newest WHERE newest.schedule_id = occurrence.schedule_id AND newest.state = 'fired')

-- name: newest
SELECT at, last_at, n, state, reason, job_id, decided_at, by_hand FROM occurrence WHERE schedule_id = ?1 AND state = ?2 ORDER BY at DESC LIMIT 1

-- name: pause
-- A pause whose end the planner has not seen continues: the two are one.
UPDATE schedule
   SET paused = 1, resumed_at = NULL,
       paused_at = CASE WHEN resumed_at > decided_until THEN paused_at ELSE ?2 END
 WHERE id = ?1 AND paused = 0;

-- name: resume
UPDATE schedule SET paused = 0, resumed_at = ?2 WHERE id = ?1 AND paused = 1;

-- name: occurrences
SELECT at, last_at, n, state, reason, job_id, decided_at, by_hand FROM occurrence WHERE schedule_id = ?1 ORDER BY at DESC LIMIT ?2;

-- name: prune
UPDATE schedule SET pruned_until = max(pruned_until, min(?1, decided_until))
 WHERE EXISTS (SELECT 1 FROM occurrence WHERE schedule_id = schedule.id AND at < ?1);

-- name: set
UPDATE schedule
   SET cron = ?2, zone = ?3, catch_up = ?4, catch_up_max = ?5, template = ?6, decided_until = ?7, next_at = ?8, last_error = NULL,
       overlap = ?9, jitter_ms = ?10, boot_id = ?11
 WHERE id = ?1;
