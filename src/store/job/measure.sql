-- name: measured
SELECT e.id, e.kind, coalesce(r.kind, ''), coalesce(j.queue, ''), r.claimed_at, r.started_at, coalesce(r.exited_at, r.finished_at),
       coalesce(r.outcome, ''), coalesce(r.reason, ''), max(j.available_at, j.created_at)
  FROM event e LEFT JOIN run r ON r.id = e.run_id LEFT JOIN job j ON j.id = r.job_id
 WHERE e.id > ?1 ORDER BY e.id LIMIT ?2;

-- name: tally
SELECT queue, state, hold, n FROM tally WHERE n <> 0 ORDER BY queue, state, hold LIMIT ?1;
