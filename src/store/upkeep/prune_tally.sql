DELETE FROM tally
 WHERE queue = ?1
   AND NOT EXISTS (SELECT 1 FROM queue WHERE name = ?1)
   AND NOT EXISTS (SELECT 1 FROM tally WHERE queue = ?1 AND n <> 0)
