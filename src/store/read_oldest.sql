SELECT created_at FROM job WHERE id = (
  SELECT min((SELECT min(j.id) FROM job j WHERE j.queue = t.queue AND j.state = 'queued' AND j.hold IS NULL))
    FROM tally t WHERE t.state = 'queued' AND t.hold = '' AND t.n > 0)
