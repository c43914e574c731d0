INSERT INTO resource (run_id, job_id, task_id, name, teardown, probe, cwd, env, timeout_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
