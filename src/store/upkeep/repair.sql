-- name: counts
UPDATE job
   SET attempts = max(0, attempts), deferrals = max(0, deferrals), failed_starts = max(0, failed_starts), max_attempts = max(1, max_attempts)
 WHERE id = ?1;

-- name: end
UPDATE job
   SET state = ?2, reason = ?3, finished_at = ?4, pid = NULL, lane_pass = 0, run_id = ?5,
       exit_code = iif(?2 = 'done', 0, (SELECT exit_code FROM run WHERE id = ?5)), signal = (SELECT signal FROM run WHERE id = ?5),
       error = (SELECT error FROM run WHERE id = ?5),
       attempts = max(0, attempts), deferrals = max(0, deferrals), failed_starts = max(0, failed_starts), max_attempts = max(1, max_attempts)
 WHERE id = ?1;

-- name: ended
-- `done` without exit 0 is a claim that no record supports.
UPDATE job
   SET state  = iif(state = 'done' AND NOT (reason IS 'exit' AND exit_code IS 0), 'failed', state),
       reason = CASE WHEN state = 'done' AND reason IS 'exit' AND exit_code IS 0 THEN 'exit'
                     WHEN state = 'done' AND exit_code IS NOT NULL AND exit_code <> 0 THEN 'exit'
                     WHEN state = 'done' THEN 'lost'
                     WHEN state = 'cancelled' THEN coalesce(reason, 'cancelled')
                     ELSE coalesce(reason, 'lost') END,
       finished_at = coalesce(finished_at, ?2), pid = NULL, lane_pass = 0,
       attempts = max(0, attempts), deferrals = max(0, deferrals), failed_starts = max(0, failed_starts), max_attempts = max(1, max_attempts)
 WHERE id = ?1;

-- name: event
INSERT INTO event (job_id, run_id, kind, detail, at) VALUES (?1, ?2, ?3, ?4, ?5);

-- name: jobs
SELECT id, run_id, 'state ' || state || ', run ' || coalesce(run_id, 'none') || ', pid ' || coalesce(pid, 'none') || ', reason ' || coalesce(reason, 'none'),
       fault
  FROM job WHERE fault IS NOT NULL ORDER BY id LIMIT ?1;

-- name: lose
UPDATE run
   SET finished_at = ?2, outcome = 'lost', reason = 'lost', error = 'no job is owned by this run any more'
 WHERE id = ?1 AND finished_at IS NULL;

-- name: queued
-- Clean and queued; held by a person if ?2 is set. A key that another live job has is given up. Its
-- dependencies were not counted while it was in another state.
UPDATE job
   SET state = 'queued', reason = NULL, run_id = NULL, pid = NULL, started_at = NULL, finished_at = NULL, lane_pass = 0,
       user_hold = max(user_hold, ?2),
       unmet  = (SELECT count(*) FROM dependency WHERE job_id = ?1 AND state = 'unmet'),
       broken = (SELECT count(*) FROM dependency WHERE job_id = ?1 AND state = 'broken'),
       attempts = max(0, attempts), deferrals = max(0, deferrals), failed_starts = max(0, failed_starts), max_attempts = max(1, max_attempts),
       unique_key = iif(EXISTS (SELECT 1 FROM job o WHERE o.unique_key = job.unique_key AND o.state IN ('queued', 'running') AND o.id <> job.id),
                        NULL, unique_key)
 WHERE id = ?1;

-- name: running
-- A freshly claimed run has no pid yet, and is valid.
SELECT job.id, job.run_id,
       'state ' || job.state || ', run ' || coalesce(job.run_id, 'none') || ', pid ' || coalesce(job.pid, 'none') || ', reason ' || coalesce(job.reason, 'none'),
       'running_has_its_run', run.outcome, run.reason
  FROM job LEFT JOIN run ON run.id = job.run_id AND run.job_id = job.id AND run.kind = 'job'
 WHERE job.state = 'running' AND job.state <> 'done'
   AND job.run_id IS NOT NULL AND job.started_at IS NOT NULL AND job.finished_at IS NULL AND job.reason IS NULL
   AND (run.id IS NULL OR run.finished_at IS NOT NULL)
 ORDER BY job.id LIMIT ?1;

-- name: runs
-- Open runs of jobs, and auxiliary runs of them, that own nothing. A run without a parent does not
-- belong to a job.
SELECT r.id, r.nonce, r.job_id FROM run r
 WHERE r.finished_at IS NULL AND (r.kind = 'job' OR r.parent IS NOT NULL)
   AND NOT EXISTS (SELECT 1 FROM job WHERE id = r.job_id AND state = 'running' AND run_id = coalesce(r.parent, r.id))
 ORDER BY r.job_id, r.id LIMIT ?1;

-- name: unreadable
SELECT id, run_id, 'state ' || state || ', run ' || coalesce(run_id, 'none') || ', pid ' || coalesce(pid, 'none') || ', reason ' || coalesce(reason, 'none'),
       'is_readable'
  FROM job
 WHERE NOT (json_valid(command) AND json_valid(env) AND json_valid(policy) AND (uses IS NULL OR json_valid(uses)))
   AND state = 'queued' AND user_hold = 0
 ORDER BY id LIMIT ?1;
