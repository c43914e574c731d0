-- Compared are the jobs that say they wait, and those that should.
UPDATE job SET untorn = (SELECT count(*) FROM resource_in_the_way w WHERE w.job_id = job.id)
 WHERE state = 'queued'
   AND id IN (SELECT id FROM job WHERE state = 'queued' AND untorn > 0
              UNION SELECT coalesce(r.job_id, (SELECT job_id FROM run WHERE id = r.run_id)) FROM resource r
                     WHERE r.state = 'releasing' AND r.state <> 'released')
   AND untorn <> (SELECT count(*) FROM resource_in_the_way w WHERE w.job_id = job.id)
