-- name: measured
SELECT e.id, e.kind, coalesce(r.kind, ''), coalesce(j.queue, ''), r.claimed_at, r.started_at, coalesce(r.exited_at, r.finished_at),
       coalesce(r.outcome, ''), coalesce(r.reason, ''),
       -- When it could start: its time had come, it was not held, and all that it waited for was
       -- there.
       max(j.available_at, j.created_at,
           coalesce((SELECT max(p.at) FROM event p WHERE p.job_id = j.id AND p.id < e.id AND p.kind IN ('released', 'retried')), 0),
           coalesce((SELECT max(o.finished_at) FROM dependency d JOIN job o ON o.id = d.on_job WHERE d.job_id = j.id), 0))
  FROM event e LEFT JOIN run r ON r.id = e.run_id LEFT JOIN job j ON j.id = r.job_id
 WHERE e.id > ?1 ORDER BY e.id LIMIT ?2;

-- name: tally
SELECT queue, state, hold, n FROM tally WHERE n <> 0 ORDER BY queue, state, hold LIMIT ?1;
