DELETE FROM run
 WHERE resource_id = ?1 AND finished_at IS NOT NULL
   AND id < (SELECT min(id) FROM (SELECT id FROM run WHERE resource_id = ?1 ORDER BY id DESC LIMIT ?2))
RETURNING id
