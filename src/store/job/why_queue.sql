SELECT paused, slots, coalesce((SELECT n FROM tally WHERE state = 'running' AND hold = '' AND queue = ?1), 0)
  FROM queue WHERE name = ?1
