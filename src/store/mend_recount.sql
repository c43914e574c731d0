INSERT INTO tally SELECT state, coalesce(hold, ''), queue, count(*) FROM job GROUP BY state, coalesce(hold, ''), queue
