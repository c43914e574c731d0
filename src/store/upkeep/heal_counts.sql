UPDATE job
   SET attempts = max(0, attempts), deferrals = max(0, deferrals), unstarts = max(0, unstarts), max_attempts = max(1, max_attempts)
 WHERE id = ?1
