-- name: newest
SELECT p.id, p.name, p.revision, p.spec, p.applied_at,
       (SELECT count(*) FROM task WHERE state = 'running' AND task.pipeline = p.name)
  FROM pipeline p
 WHERE p.revision = (SELECT max(revision) FROM pipeline WHERE name = p.name)
