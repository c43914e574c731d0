-- name: all
SELECT p.name, p.size, (SELECT count(*) FROM pool_unit WHERE pool = p.name),
       (SELECT count(*) FROM (SELECT 1 FROM pool_use u JOIN job j ON j.id = u.job_id
                               WHERE u.pool = p.name AND j.state = 'queued' AND j.hold = 'pool' LIMIT 10000))
  FROM pool p ORDER BY p.name;

-- name: live
SELECT count(*) FROM pool_use WHERE pool = ?1;

-- name: served
INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value;

-- name: noted
SELECT (SELECT value FROM meta WHERE key = 'worker_queues'), (SELECT value FROM meta WHERE key = 'worker_jobs'),
       EXISTS (SELECT 1 FROM pool);

-- name: set
INSERT INTO pool (name, size) VALUES (?1, ?2) ON CONFLICT DO NOTHING;

-- name: size
UPDATE pool SET size = ?2 WHERE name = ?1 AND size <> ?2;

-- name: takers
-- The jobs that have units of a pool, whether they are suspended, and how many they have.
SELECT job_id, EXISTS (SELECT 1 FROM job j JOIN suspend s ON s.run_id = j.run_id AND s.closed_at IS NULL WHERE j.id = u.job_id),
       count(*) FROM pool_unit u WHERE pool = ?1 GROUP BY job_id ORDER BY job_id LIMIT ?2;

-- name: units
SELECT pool, unit FROM pool_unit WHERE job_id = ?1 ORDER BY pool, unit;

-- name: uses
-- What a job uses of each pool: the size, the units that are taken, and the job that comes first.
SELECT u.key, u.value, p.size, (SELECT count(*) FROM pool_unit WHERE pool = u.key), p.head_id
  FROM job j JOIN json_each(CASE WHEN json_valid(j.uses) THEN j.uses ELSE '{}' END) u LEFT JOIN pool p ON p.name = u.key
 WHERE j.id = ?1 AND j.uses IS NOT NULL ORDER BY u.key;
