-- Of the jobs that wait for others, from number ?1 on, ?2 at most: what they wait for is counted once more.
UPDATE job
   SET unmet  = (SELECT count(*) FROM dependency WHERE job_id = job.id AND state = 'unmet'),
       broken = (SELECT count(*) FROM dependency WHERE job_id = job.id AND state = 'broken')
 WHERE id IN (SELECT id FROM job WHERE state = 'queued' AND hold = 'dependency' AND id >= ?1 ORDER BY id LIMIT ?2)
   AND (unmet <> (SELECT count(*) FROM dependency WHERE job_id = job.id AND state = 'unmet')
        OR broken <> (SELECT count(*) FROM dependency WHERE job_id = job.id AND state = 'broken'))
