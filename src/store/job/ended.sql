-- name: broken
SELECT d.job_id
  FROM dependency d
  JOIN job child ON child.id = d.job_id
 WHERE d.on_job = ?1 AND d.state = 'broken' AND child.state = 'queued'
 ORDER BY d.job_id LIMIT ?2;

-- name: broken_by
-- The first broken dependency of this job; one that makes it needless before one that fails it.
SELECT d.on_job, d.need, p.state, p.reason
  FROM dependency d LEFT JOIN job p ON p.id = d.on_job
 WHERE d.job_id = ?1 AND d.state = 'broken'
 ORDER BY d.need = 'failed' OR (p.state = 'cancelled' AND p.reason = 'dependency') DESC, d.on_job LIMIT 1;

-- name: queued
UPDATE job
   SET state = ?2, reason = ?3, error = ?4, finished_at = ?5, lane_pass = 0
 WHERE id = ?1 AND state = 'queued'
RETURNING policy, task_id, stop_group IS NOT NULL;

-- name: resolve
-- Sets dependencies on an ended job to their true state: that of the job ?2 alone, if it is given;
-- otherwise at most ?3. Triggers count it in the row of the dependant.
UPDATE dependency
   SET state = (SELECT truth FROM dependency_truth t WHERE t.job_id = dependency.job_id AND t.on_job = dependency.on_job)
 WHERE on_job = ?1 AND state = 'unmet'
   AND (job_id = ?2 OR ?2 IS NULL AND job_id IN (SELECT job_id FROM dependency WHERE on_job = ?1 AND state = 'unmet' LIMIT ?3));

-- name: note_unresolved
INSERT INTO unresolved (job_id) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM unresolved WHERE job_id = ?1)
 AND EXISTS (SELECT 1 FROM dependency WHERE on_job = ?1 AND state = 'unmet');

-- name: rest_of_array
-- Queued jobs of the array of a failed job, at most ?2.
SELECT id FROM job
 WHERE stop_group = (SELECT stop_group FROM job WHERE id = ?1) AND state = 'queued' AND stop_group IS NOT NULL
 ORDER BY id LIMIT ?2;

-- name: stopped_by
-- The failed job of whose array this one is, if the rest of it is being cancelled.
SELECT f.id FROM job j CROSS JOIN job f ON f.stop_group = j.stop_group
 WHERE j.id = ?1 AND j.stop_group IS NOT NULL AND f.stop_group IS NOT NULL AND f.state = 'failed' AND f.reason <> 'dependency'
   AND EXISTS (SELECT 1 FROM unresolved WHERE job_id = f.id)
 LIMIT 1;

-- name: is_resolved
DELETE FROM unresolved WHERE job_id = ?1 AND NOT EXISTS (SELECT 1 FROM dependency WHERE on_job = ?1 AND state = 'unmet');

-- name: with_secrets
-- Policies of live jobs other than ?1 that own files in `secrets/`, at most ?2.
SELECT policy FROM job
 WHERE state IN ('queued', 'running') AND instr(policy, '"secrets"') + instr(policy, '"kept"') > 0 AND id <> ?1 LIMIT ?2;
