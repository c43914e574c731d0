UPDATE resource SET errand = NULL
 WHERE state = 'releasing' AND state <> 'released' AND errand IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM run WHERE id = resource.errand AND resource_id = resource.id AND finished_at IS NULL)
