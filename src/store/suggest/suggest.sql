-- What begins with a text, from an index, at most so many.

-- name: jobs_in_state
-- The index has the condition on the state.
SELECT id, state, label FROM job
 WHERE state = ?1 AND state <> 'done' AND id BETWEEN ?2 AND ?3 ORDER BY id DESC LIMIT ?4;

-- name: jobs
SELECT id, state, label FROM job WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT ?3;

-- name: held
-- Of the newest queued jobs those that a person holds: there is no index of them.
SELECT id, state, label FROM (
  SELECT id, state, label, user_hold FROM job
   WHERE state = 'queued' AND state <> 'done' AND id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 2000)
 WHERE user_hold <> 0 LIMIT ?3;

-- name: resources_in_state
SELECT id, state, name FROM resource
 WHERE state = ?1 AND state <> 'released' AND id BETWEEN ?2 AND ?3 ORDER BY id DESC LIMIT ?4;

-- name: resources
SELECT id, state, name FROM resource WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT ?3;

-- name: running_tasks
SELECT id, state, pipeline FROM task
 WHERE state = 'running' AND id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT ?3;

-- name: tasks
SELECT id, state, pipeline FROM task WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT ?3;

-- name: labels
-- From one label to the next by the index, however many jobs have each.
WITH RECURSIVE named (label) AS (
     SELECT min(label) FROM job WHERE label IS NOT NULL AND label >= ?1
     UNION ALL
     SELECT (SELECT min(label) FROM job WHERE label IS NOT NULL AND label > named.label) FROM named
      WHERE named.label IS NOT NULL AND substr(named.label, 1, length(?1)) = ?1)
SELECT label FROM named WHERE label IS NOT NULL LIMIT ?2;

-- name: pipelines
WITH RECURSIVE named (name) AS (
     SELECT min(name) FROM pipeline WHERE name >= ?1
     UNION ALL
     SELECT (SELECT min(name) FROM pipeline WHERE name > named.name) FROM named
      WHERE named.name IS NOT NULL AND substr(named.name, 1, length(?1)) = ?1)
SELECT name FROM named WHERE name IS NOT NULL LIMIT ?2;

-- name: stages
SELECT spec FROM pipeline WHERE id = (SELECT pipeline_id FROM task WHERE id = ?1);
