SELECT id, state, run_id, 'state ' || state || ', run ' || coalesce(run_id, 'none') || ', pid ' || coalesce(pid, 'none') || ', reason ' || coalesce(reason, 'none')
  FROM unreadable_job WHERE state = 'queued' AND user_hold = 0 ORDER BY id LIMIT ?1
