-- Written down again by the same owner. What is under way for it speaks of the earlier one, and counts for nothing (`again`).
UPDATE resource
   SET teardown = ?5, probe = ?6, cwd = ?7, env = ?8, timeout_ms = ?9, torn = 0, again = (errand IS NOT NULL), next_at = 0
 WHERE state <> 'released' AND name = ?4
   AND ((?1 IS NOT NULL AND run_id = ?1) OR (?2 IS NOT NULL AND job_id = ?2) OR (?3 IS NOT NULL AND task_id = ?3))
RETURNING id
