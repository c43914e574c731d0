-- `done` without exit 0 is a claim that no record supports.
UPDATE job
   SET state  = iif(state = 'done' AND NOT (reason IS 'exit' AND exit_code IS 0), 'failed', state),
       reason = CASE WHEN state = 'done' AND reason IS 'exit' AND exit_code IS 0 THEN 'exit'
                     WHEN state = 'done' AND exit_code IS NOT NULL AND exit_code <> 0 THEN 'exit'
                     WHEN state = 'done' THEN 'lost'
                     WHEN state = 'cancelled' THEN coalesce(reason, 'cancelled')
                     ELSE coalesce(reason, 'lost') END,
       finished_at = coalesce(finished_at, ?2), pid = NULL, lane_pass = 0,
       attempts = max(0, attempts), deferrals = max(0, deferrals), unstarts = max(0, unstarts), max_attempts = max(1, max_attempts)
 WHERE id = ?1
