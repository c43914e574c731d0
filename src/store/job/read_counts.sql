SELECT state, hold, sum(n) FROM tally GROUP BY state, hold HAVING sum(n) <> 0
