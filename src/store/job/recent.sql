-- name: runs
-- The newest runs of jobs before one, each with what is shown of its job.
SELECT r.id, r.job_id, r.attempt, r.claimed_at, r.started_at, coalesce(r.exited_at, r.finished_at), r.finished_at IS NULL, r.outcome, r.reason,
       r.adopted, j.queue, j.lane, j.label, substr(j.command, 1, 4000), j.state
  FROM run r JOIN job j ON j.id = r.job_id
 WHERE r.id < ?1 AND r.kind = 'job' ORDER BY r.id DESC LIMIT ?2;

-- name: ended
-- How many jobs ended in a time, up to a number.
SELECT count(*) FROM (SELECT 1 FROM job WHERE finished_at >= ?1 AND finished_at < ?2 LIMIT ?3);

-- name: failed
-- When jobs failed, the latest first.
SELECT at FROM event WHERE kind = 'failed' ORDER BY id DESC LIMIT ?1;

-- name: latest_failures
SELECT coalesce(e.job_id, r.job_id) FROM event e LEFT JOIN run r ON r.id = e.run_id
 WHERE e.kind = 'failed' AND coalesce(e.job_id, r.job_id) IS NOT NULL ORDER BY e.id DESC LIMIT ?1;

-- name: waits
-- How long some of the jobs that ended in a time had waited before their start, the latest first.
-- It looks at a limited number of them, as those that never started have no such time.
SELECT max(started_at - max(available_at, created_at,
                            coalesce((SELECT max(at) FROM event WHERE job_id = j.id AND at <= j.started_at AND kind IN ('released', 'retried')), 0),
                            coalesce((SELECT max(o.finished_at) FROM dependency d JOIN job o ON o.id = d.on_job WHERE d.job_id = j.id), 0)), 0)
  FROM (SELECT id, started_at, available_at, created_at, attempts FROM job
         WHERE finished_at >= ?1 AND finished_at < ?2 ORDER BY finished_at DESC LIMIT ?4) j
 WHERE started_at IS NOT NULL AND attempts = 1 LIMIT ?3;
