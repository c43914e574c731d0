UPDATE job
   SET state = ?2, reason = ?3, finished_at = ?4, pid = NULL, lane_pass = 0, run_id = ?5,
       exit_code = iif(?2 = 'done', 0, (SELECT exit_code FROM run WHERE id = ?5)), signal = (SELECT signal FROM run WHERE id = ?5),
       error = (SELECT error FROM run WHERE id = ?5),
       attempts = max(0, attempts), deferrals = max(0, deferrals), unstarts = max(0, unstarts), max_attempts = max(1, max_attempts)
 WHERE id = ?1
