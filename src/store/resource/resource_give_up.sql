UPDATE resource SET state = 'released', released_at = ?2, released_by = 'force', errand = NULL, torn = 0, again = 0
 WHERE id = ?1 AND state <> 'released'
