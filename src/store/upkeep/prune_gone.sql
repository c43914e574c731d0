-- Not one whose errand is under way still (it was given up meanwhile): the thread that watches that errand looks here for what it is for.
SELECT id FROM resource
 WHERE state = 'released' AND released_at < ?1
   AND NOT EXISTS (SELECT 1 FROM run WHERE resource_id = resource.id AND finished_at IS NULL)
 LIMIT ?2
