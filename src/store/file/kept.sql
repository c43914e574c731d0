-- name: lost_jobs
SELECT state, count(*) FROM main.job j
 WHERE NOT EXISTS (SELECT 1 FROM to_come.job c WHERE c.id = j.id AND c.created_at = j.created_at)
 GROUP BY state ORDER BY state;
