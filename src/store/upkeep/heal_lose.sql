UPDATE run
   SET finished_at = ?2, outcome = 'lost', reason = 'lost', error = 'no job is owned by this run any more'
 WHERE id = ?1 AND finished_at IS NULL
