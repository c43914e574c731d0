SELECT j.id, (SELECT 'job ' || d.on_job || ' ended as ' || coalesce(p.state || ' (' || coalesce(p.reason, '') || ')', 'something unknown')
                     || ', and this one waits for it to be ' || iif(d.need = 'failed', 'not done', 'done')
                FROM dependency d LEFT JOIN job p ON p.id = d.on_job
               WHERE d.job_id = j.id AND d.state = 'broken' ORDER BY d.on_job LIMIT 1)
  FROM job j WHERE j.state = 'queued' AND j.broken > 0
 ORDER BY j.id LIMIT ?1
