-- name: move
UPDATE job SET priority = ?2, place = ?3 WHERE id = ?1 AND state = 'queued';

-- name: highest
SELECT max(priority) FROM job WHERE queue = ?1 AND state = 'queued' AND hold IS NULL;

-- name: lowest
SELECT min(place) FROM job WHERE queue = ?1 AND priority = ?2 AND state = 'queued' AND place IS NOT NULL;

-- name: near_below
-- The next place below the rank ?3, not counting the job that is moved.
SELECT max(place) FROM job
 WHERE queue = ?1 AND priority = ?2 AND place < ?3 AND id <> ?4 AND state = 'queued' AND place IS NOT NULL;

-- name: near_above
SELECT min(place) FROM job
 WHERE queue = ?1 AND priority = ?2 AND place > ?3 AND id <> ?4 AND state = 'queued' AND place IS NOT NULL;

-- name: within
-- The jobs with a place between ?3 and ?4, in their order, at most ?6.
SELECT id FROM job
 WHERE queue = ?1 AND priority = ?2 AND place > ?3 AND place < ?4 AND id <> ?5 AND state = 'queued' AND place IS NOT NULL
 ORDER BY place, id LIMIT ?6;
