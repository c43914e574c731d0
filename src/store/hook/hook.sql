-- name: counts
-- Open hooks are in one of two indexes: due, or in progress.
SELECT (SELECT count(*) FROM hook WHERE outcome IS NULL AND auxiliary_run_id IS NULL)
       + (SELECT count(*) FROM hook WHERE auxiliary_run_id IS NOT NULL),
       (SELECT count(*) FROM hook WHERE outcome IS NULL AND auxiliary_run_id IS NULL AND attempts >= ?1)
       + (SELECT count(*) FROM hook WHERE auxiliary_run_id IS NOT NULL AND attempts >= ?1);

-- name: rule
INSERT INTO hook_rule (name, event, command, queue, label, reasons) VALUES (?1, ?2, ?3, ?4, ?5, ?6);

-- name: one
SELECT id, job_id, rule, event, command, state, reason, run_id, exit_code, signal, error, ended_at, auxiliary_run_id, attempts, next_at,
       last_error, outcome, closed_at, task_id
  FROM hook WHERE id = ?1;

-- name: of_job
SELECT id, job_id, rule, event, command, state, reason, run_id, exit_code, signal, error, ended_at, auxiliary_run_id, attempts, next_at,
       last_error, outcome, closed_at, task_id
  FROM hook WHERE job_id = ?1 ORDER BY id DESC LIMIT ?2;
