-- What a job and its runs have made, and is gone. Where an errand of it is under way still (it was given up meanwhile), it goes later.
SELECT r.id FROM resource r
 WHERE r.job_id = ?1 AND r.state = 'released' AND NOT EXISTS (SELECT 1 FROM run WHERE resource_id = r.id AND finished_at IS NULL)
UNION ALL
SELECT r.id FROM run CROSS JOIN resource r ON r.run_id = run.id
 WHERE run.job_id = ?1 AND r.state = 'released' AND NOT EXISTS (SELECT 1 FROM run WHERE resource_id = r.id AND finished_at IS NULL)
