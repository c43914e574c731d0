UPDATE run
   SET pid = coalesce(?3, pid), started_at = coalesce(?4, started_at), exited_at = coalesce(?5, exited_at), exit_code = ?6,
       leftovers = coalesce(?7, leftovers), max_rss_bytes = coalesce(?8, max_rss_bytes), user_ms = coalesce(?9, user_ms),
       system_ms = coalesce(?10, system_ms)
 WHERE id = ?1 AND job_id = ?2 AND finished_at IS NULL
   AND EXISTS (SELECT 1 FROM job WHERE id = ?2 AND state = 'running' AND run_id = ?1)
