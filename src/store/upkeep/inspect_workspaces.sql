SELECT EXISTS (SELECT 1 FROM workspace_use
                WHERE NOT EXISTS (SELECT 1 FROM run WHERE id = workspace_use.run_id AND finished_at IS NULL))
