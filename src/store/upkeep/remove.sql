-- name: ended
-- Jobs that ended before ?1, oldest first, after (?2, ?3), at most ?4. Then: it is wanted.
SELECT finished_at, id,
       (?5 IS NULL OR queue = ?5) AND (?6 IS NULL OR label IS ?6) AND (?7 IS NULL OR instr(?7, state) > 0)
  FROM job
 WHERE state IN ('done', 'failed', 'cancelled') AND finished_at < ?1 AND (finished_at, id) > (?2, ?3)
 ORDER BY finished_at, id LIMIT ?4;

-- name: facts
-- What keeps a job: its state, that it ended at or after ?2, its task, a live job that waits for
-- it, a run that is open or whose end was recorded at or after ?2, a resource to tear down, a hook
-- to run.
SELECT state, coalesce(finished_at >= ?2, 0), task_id,
       (SELECT min(d.job_id) FROM dependency d JOIN job child ON child.id = d.job_id
         WHERE d.on_job = job.id AND child.state IN ('queued', 'running')),
       EXISTS (SELECT 1 FROM run WHERE job_id = job.id AND (finished_at IS NULL OR finished_at >= ?2)),
       (SELECT min(w.resource_id) FROM blocking_resource w WHERE w.job_id = job.id),
       EXISTS (SELECT 1 FROM hook WHERE job_id = job.id AND (outcome IS NULL OR closed_at >= ?2))
  FROM job WHERE id = ?1;

-- name: runs
-- The runs that go with a job: its own, those of its hooks, and those that tore down its resources.
SELECT (SELECT count(*) FROM run WHERE job_id = ?1)
     + (SELECT count(*) FROM run WHERE hook_id IN (SELECT id FROM hook WHERE job_id = ?1))
     + (SELECT count(*) FROM run
         WHERE finished_at IS NOT NULL
           AND resource_id IN (SELECT id FROM resource WHERE job_id = ?1 AND state = 'released'
                               UNION ALL
                               SELECT r.id FROM run CROSS JOIN resource r ON r.run_id = run.id
                                WHERE run.job_id = ?1 AND r.state = 'released'));

-- name: newest_end
SELECT finished_at FROM job WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1;
