-- A pause whose end the planner has not seen goes on: the two are one.
UPDATE schedule
   SET paused = 1, resumed_at = NULL,
       paused_at = CASE WHEN resumed_at > decided_until THEN paused_at ELSE ?2 END
 WHERE id = ?1 AND paused = 0
