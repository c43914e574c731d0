SELECT id FROM pipeline
 WHERE applied_at < ?1
   AND revision < (SELECT max(revision) FROM pipeline newer WHERE newer.name = pipeline.name)
   AND NOT EXISTS (SELECT 1 FROM task WHERE pipeline_id = pipeline.id)
