-- name: added
SELECT id, created_at, queue, label FROM job WHERE id > ?1 ORDER BY id LIMIT ?2;

-- name: changed
-- A claim and the end of a done job have no job here: the row of the run has it.
SELECT e.id, e.at, j.id, e.run_id, e.kind,
       CASE WHEN e.job_id IS NULL AND e.kind = 'done' THEN r.reason ELSE e.reason END,
       CASE WHEN e.job_id IS NULL AND e.kind = 'done' THEN r.error ELSE e.detail END,
       j.queue, j.label
  FROM event e
  LEFT JOIN run r ON e.job_id IS NULL AND r.id = e.run_id
  LEFT JOIN job j ON j.id = coalesce(e.job_id, r.job_id)
 WHERE e.id > ?1 ORDER BY e.id LIMIT ?2;

-- name: newest
-- Rows may be pruned, and sequences lowered by hand, so the higher of the two counts. A client may
-- have set a sequence to anything.
SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event' AND typeof(seq) = 'integer' AND seq <= 4503599627370496), 0),
           coalesce((SELECT max(id) FROM event), 0)),
       max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'job' AND typeof(seq) = 'integer' AND seq <= 4503599627370496), 0),
           coalesce((SELECT max(id) FROM job), 0));
