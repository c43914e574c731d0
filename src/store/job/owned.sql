-- name: owner
SELECT owner FROM job WHERE id = ?1;

-- name: queued
SELECT count(*) FROM job WHERE owner = ?1 AND owner IS NOT NULL AND state = 'queued';

-- name: kept
SELECT count(*) FROM job WHERE owner = ?1 AND owner IS NOT NULL;

-- name: counts
SELECT state, count(*) FROM job WHERE owner = ?1 AND owner IS NOT NULL GROUP BY state;

-- name: runs
SELECT run.id FROM job CROSS JOIN run ON run.job_id = job.id WHERE job.owner = ?1 AND job.owner IS NOT NULL LIMIT ?2;

-- name: often
SELECT EXISTS (SELECT 1 FROM run WHERE job_id = ?1 ORDER BY id LIMIT 1 OFFSET ?2)
    OR EXISTS (SELECT 1 FROM event WHERE job_id = ?1 ORDER BY id LIMIT 1 OFFSET ?2);

-- name: lane
INSERT INTO lane (key, max_running) SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM lane WHERE key = ?1);
