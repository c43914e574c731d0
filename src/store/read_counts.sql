SELECT state, hold, sum(n) FROM tally WHERE ?1 IS NULL OR queue = ?1 GROUP BY state, hold HAVING sum(n) <> 0
