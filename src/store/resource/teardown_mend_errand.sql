UPDATE resource SET errand = NULL
 WHERE id = ?1 AND errand IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM run WHERE id = resource.errand AND resource_id = resource.id AND finished_at IS NULL)
