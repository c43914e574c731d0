-- name: columns
SELECT t.id, t.pipeline, coalesce(p.revision, 0), t.key, t.state, t.stage, t.job_id, t.params, t.error, t.created_at, t.finished_at,
       t.stop_at, t.stop_why, t.held, coalesce(p.spec, '')
  FROM task t LEFT JOIN pipeline p ON p.id = t.pipeline_id
