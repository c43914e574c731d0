INSERT INTO tally (state, hold, queue, n) SELECT state, coalesce(hold, ''), queue, count(*) FROM job GROUP BY state, coalesce(hold, ''), queue
