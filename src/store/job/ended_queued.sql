UPDATE job
   SET state = ?2, reason = ?3, error = ?4, finished_at = ?5, lane_pass = 0
 WHERE id = ?1 AND state = 'queued'
RETURNING policy, task_id
