-- name: is_due
SELECT EXISTS (SELECT 1 FROM job WHERE state = 'queued' AND hold = 'time' AND available_at <= ?1)
 OR EXISTS (SELECT 1 FROM job WHERE state = 'queued' AND broken > 0)
 OR EXISTS (SELECT 1 FROM unresolved)
 OR EXISTS (SELECT 1 FROM job WHERE state = 'queued' AND expires_at IS NOT NULL AND expires_at <= ?1
                                AND attempts = 0 AND deferrals = 0)
 OR EXISTS (SELECT 1 FROM cancel c CROSS JOIN job j ON j.id = c.job_id WHERE c.closed_at IS NULL AND j.state = 'queued');

-- name: has_unresolved
SELECT EXISTS (SELECT 1 FROM job WHERE state = 'queued' AND broken > 0) OR EXISTS (SELECT 1 FROM unresolved);

-- name: runtime_limits
SELECT j.run_id, q.max_runtime_ms FROM job j CROSS JOIN queue q ON q.name = j.queue
 WHERE j.state = 'running' AND j.state <> 'done' AND q.max_runtime_ms > 0;

-- name: waits_for_time
SELECT EXISTS (SELECT 1 FROM job WHERE state = 'queued' AND hold = 'time')
 OR EXISTS (SELECT 1 FROM job WHERE state = 'queued' AND unreleased > 0 AND hold = 'resource');
