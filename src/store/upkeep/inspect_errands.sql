-- Resources that are being torn down, after number ?1, ?2 at most. Then: its errand is over.
SELECT id, errand IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run WHERE id = resource.errand AND resource_id = resource.id AND finished_at IS NULL)
  FROM resource WHERE state = 'releasing' AND state <> 'released' AND id > ?1 ORDER BY id LIMIT ?2
