-- name: ask
-- The guard of inserts withdraws a request to resume it instead, if there is one.
INSERT INTO suspend (job_id, why, at) VALUES (?1, ?2, max(0, ?3));

-- name: ask_to_resume
UPDATE suspend SET resume_at = max(0, ?2)
 WHERE run_id = (SELECT run_id FROM job WHERE id = ?1 AND state = 'running') AND closed_at IS NULL AND resume_at IS NULL;

-- name: wanted
SELECT s.run_id, s.id, s.resume_at IS NULL
  FROM suspend s CROSS JOIN job j ON j.id = s.job_id
 WHERE s.closed_at IS NULL AND j.state = 'running' AND j.run_id = s.run_id
 ORDER BY s.run_id;

-- name: count
SELECT count(*) FROM suspend s CROSS JOIN job j ON j.id = s.job_id
 WHERE s.closed_at IS NULL AND s.suspended_at IS NOT NULL AND j.state = 'running' AND j.run_id = s.run_id;

-- name: lasted
SELECT coalesce(sum(suspended_ms), 0) FROM suspend WHERE job_id = ?1;

-- name: is_suspended
UPDATE suspend SET suspended_at = max(0, ?2) WHERE id = ?1 AND closed_at IS NULL AND suspended_at IS NULL;

-- name: close
-- A client has asked for it.
UPDATE suspend
   SET closed_at = max(0, ?3),
       suspended_ms = CASE WHEN suspended_at IS NULL THEN suspended_ms ELSE coalesce(suspended_ms, 0) + ?2 END
 WHERE id = ?1 AND closed_at IS NULL AND resume_at IS NOT NULL
RETURNING suspended_at IS NOT NULL;

-- name: is_not_suspended
-- It continued although that is not wanted any more: it is suspended again.
UPDATE suspend SET suspended_at = NULL, suspended_ms = coalesce(suspended_ms, 0) + ?2
 WHERE id = ?1 AND closed_at IS NULL AND suspended_at IS NOT NULL;

-- name: run_has_ended
UPDATE suspend
   SET closed_at = max(0, ?3),
       suspended_ms = CASE WHEN suspended_at IS NULL THEN suspended_ms
                           ELSE coalesce(suspended_ms, 0) + coalesce(?2, max(0, ?3 - suspended_at)) END
 WHERE run_id = ?1 AND closed_at IS NULL;

-- name: event
INSERT INTO event (job_id, run_id, kind, detail) SELECT job_id, run_id, ?2, ?3 FROM suspend WHERE id = ?1;
