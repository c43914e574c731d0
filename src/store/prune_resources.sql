-- What a job and its runs have made, and is gone.
SELECT id FROM resource WHERE job_id = ?1 AND state = 'released'
UNION ALL
SELECT r.id FROM run CROSS JOIN resource r ON r.run_id = run.id WHERE run.job_id = ?1 AND r.state = 'released'
