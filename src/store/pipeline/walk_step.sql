INSERT INTO task_step (task_id, seq, stage, job_id, entered_at)
SELECT ?1, 1 + (SELECT coalesce(max(seq), 0) FROM task_step WHERE task_id = ?1), ?2, ?3, ?4
