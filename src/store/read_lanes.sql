SELECT key, max_running, running,
       (SELECT count(*) FROM job WHERE lane = key AND state = 'queued' AND lane IS NOT NULL AND coalesce(hold, 'lane') = 'lane')
  FROM lane ORDER BY key
