-- The gate, to the end. `last_error` stays: it is what a person asks for who finds that it took long.
UPDATE resource SET state = 'released', released_at = ?3, released_by = ?4, errand = NULL, torn = 0
 WHERE id = ?1 AND errand = ?2 AND state = 'releasing'
