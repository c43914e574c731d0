UPDATE run
   SET finished_at = ?2, exited_at = coalesce(exited_at, ?2), outcome = ?3, reason = ?4, exit_code = ?5, signal = ?6, error = ?7
 WHERE id = ?1 AND kind <> 'job' AND finished_at IS NULL
