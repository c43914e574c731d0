-- name: close
-- `ended_after` places the end of a job's own run among its events. An auxiliary run is over at the
-- latest when it is closed; a job's own run without an exit has none.
UPDATE run
   SET finished_at = ?2, outcome = ?3, reason = ?4, exit_code = ?5, signal = ?6, error = ?7, pid = coalesce(?8, pid),
       ended_after = CASE kind WHEN 'job' THEN max(claimed_after, (SELECT coalesce(max(id), 0) FROM event)) ELSE ended_after END,
       started_at = coalesce(?9, started_at), exited_at = coalesce(?10, exited_at, CASE WHEN kind <> 'job' THEN ?2 END),
       leftovers = coalesce(?11, leftovers), max_rss_bytes = coalesce(?12, max_rss_bytes), user_ms = coalesce(?13, user_ms),
       system_ms = coalesce(?14, system_ms)
 WHERE id = ?1 AND finished_at IS NULL;
