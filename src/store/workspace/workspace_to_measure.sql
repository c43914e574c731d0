SELECT dir FROM workspace
 WHERE (measured_at IS NULL OR measured_at < last_used_at) AND NOT EXISTS (SELECT 1 FROM workspace_use u WHERE u.dir = workspace.dir)
 ORDER BY measured_at LIMIT 1
