SELECT key, max_running, running,
       (SELECT count(*) FROM (SELECT 1 FROM job WHERE lane = key AND state = 'queued' AND lane IS NOT NULL AND coalesce(hold, 'lane') = 'lane'
                               LIMIT 10000))
  FROM lane ORDER BY key
