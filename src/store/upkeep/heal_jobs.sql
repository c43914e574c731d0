SELECT id, state, run_id, 'state ' || state || ', run ' || coalesce(run_id, 'none') || ', pid ' || coalesce(pid, 'none') || ', reason ' || coalesce(reason, 'none')
  FROM impossible_job ORDER BY id LIMIT ?1
