-- name: latest_end
-- The end of the latest run that used an attempt or deferred the job: the end of a job that is not
-- retried.
UPDATE job
   SET (exit_code, signal) = (SELECT exit_code, signal FROM run
                               WHERE job_id = ?1 AND kind = 'job' AND reason IS NOT NULL ORDER BY id DESC LIMIT 1)
 WHERE id = ?1 AND state = 'queued';

-- name: live_in_queue
-- The index by queue has the conditions of the first, and not the running jobs.
SELECT (SELECT count(*) FROM job WHERE queue = ?1 AND state = 'queued' AND state <> 'done' AND state <> 'running')
     + (SELECT count(*) FROM job WHERE queue = ?1 AND state = 'running' AND state <> 'done');

-- name: set
UPDATE job
   SET priority = coalesce(?2, priority), queue = coalesce(?3, queue), label = iif(?4, ?5, label),
       available_at = coalesce(?6, available_at), due_seen = iif(?6 IS NULL, due_seen, 0),
       expires_at = iif(?7, ?8, expires_at), max_attempts = coalesce(?9, max_attempts), policy = coalesce(?10, policy)
 WHERE id = ?1 AND state = 'queued';
