-- Of the errand that is under way; where ?2 is NULL, of one that could not be begun.
UPDATE resource SET errand = NULL, torn = 0, attempts = attempts + 1, last_error = ?4, next_at = ?3
 WHERE id = ?1 AND errand IS ?2 AND state = 'releasing'
