UPDATE run
   SET finished_at = ?2, outcome = ?3, reason = ?4, exit_code = ?5, signal = ?6, error = ?7, pid = coalesce(?8, pid),
       started_at = coalesce(?9, started_at), exited_at = coalesce(?10, exited_at, ?2), leftovers = coalesce(?11, leftovers),
       max_rss_bytes = coalesce(?12, max_rss_bytes), user_ms = coalesce(?13, user_ms), system_ms = coalesce(?14, system_ms)
 WHERE id = ?1 AND kind <> 'job' AND finished_at IS NULL
