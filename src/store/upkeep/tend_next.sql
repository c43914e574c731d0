SELECT min(at) FROM (
  SELECT min(available_at) AS at FROM job WHERE state = 'queued' AND hold = 'time'
  UNION ALL
  SELECT min(expires_at) FROM job WHERE state = 'queued' AND expires_at IS NOT NULL AND attempts = 0 AND deferrals = 0)
