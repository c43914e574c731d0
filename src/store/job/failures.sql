-- name: latest
-- Failed jobs, in the order in which that was recorded. A job that was retried since is not failed.
SELECT e.job_id, max(e.id) FROM event e JOIN job ON job.id = e.job_id
 WHERE e.kind = 'failed' AND e.id > ?1 AND job.state = 'failed'
 GROUP BY e.job_id ORDER BY max(e.id) DESC LIMIT ?2;

-- name: count
SELECT count(DISTINCT job_id)
  FROM (SELECT e.job_id FROM event e JOIN job ON job.id = e.job_id
         WHERE e.kind = 'failed' AND e.id > ?1 AND job.state = 'failed' LIMIT ?2);

-- name: given_up
SELECT count(*) FROM (SELECT 1 FROM event WHERE kind = 'hook_given_up' AND id > ?1 LIMIT ?2);

-- name: seen
INSERT INTO meta (key, value)
SELECT ?1, (SELECT CAST(coalesce(max(id), 0) AS TEXT) FROM event)
    ON CONFLICT DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER));
