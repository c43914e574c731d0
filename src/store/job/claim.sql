-- name: head
SELECT name, head_id, head_priority, head_rank, max_runtime_ms, launcher IS NOT NULL FROM queue
 WHERE name = ?1 AND head_id IS NOT NULL AND paused = 0 AND is_full = 0 AND NOT EXISTS (SELECT 1 FROM pause);

-- name: heads
-- The open queues with a ready job, in the order of their heads. The caller takes the first.
SELECT name, head_id, head_priority, head_rank, max_runtime_ms, 0 FROM queue
 WHERE head_id IS NOT NULL AND paused = 0 AND is_full = 0 AND launcher IS NULL AND NOT EXISTS (SELECT 1 FROM pause)
 ORDER BY head_priority DESC, head_rank, head_id;

-- name: heads_launched
-- The same of the queues with a launcher.
SELECT name, head_id, head_priority, head_rank, max_runtime_ms, 1 FROM queue
 WHERE head_id IS NOT NULL AND paused = 0 AND is_full = 0 AND launcher IS NOT NULL AND NOT EXISTS (SELECT 1 FROM pause)
 ORDER BY head_priority DESC, head_rank, head_id;

-- name: only
-- (Whether a queue is full depends on its head, which this job need not be.)
SELECT q.name, j.id, j.priority, j.rank, q.max_runtime_ms, q.launcher IS NOT NULL
  FROM job j CROSS JOIN queue q ON q.name = j.queue
 WHERE j.id = ?1 AND j.state = 'queued' AND j.hold IS NULL AND q.paused = 0 AND NOT EXISTS (SELECT 1 FROM pause)
   AND (q.slots IS NULL OR q.slots >= j.slots + (SELECT taken FROM queue_load WHERE queue = q.name));

-- name: run
INSERT INTO run (id, job_id, kind, attempt, nonce, instance, boot_id, claimed_at, claimed_after)
SELECT ?1, id, 'job', attempts, ?3, ?4, ?5, ?6, (SELECT coalesce(max(id), 0) FROM event) FROM job WHERE id = ?2;

-- name: launch
INSERT INTO launched (run_id, launcher, options)
SELECT ?1, launcher, launcher_options FROM queue WHERE name = (SELECT queue FROM job WHERE id = ?2);

-- name: take
-- The gate of the claim: the job is queued, ready, not cancelled and not expired, it takes at most
-- ?4 slots, its queue is open and has as many, not all queues are paused, its lane has room, its
-- array is not being stopped, none of its runs is open (a client may have set a running row to
-- queued by hand while its process lives), and the new run has a higher id than every earlier one,
-- as a fencing token must. What the last run left in the row is cleared; it is in the history. (It
-- left no `result`: only an end writes one, and a retry clears it.)
UPDATE job
   SET state = 'running', run_id = ?2, started_at = ?3, attempts = attempts + 1, lane_pass = 0,
       exit_code = NULL, signal = NULL, error = NULL, progress = NULL
 WHERE id = ?1 AND state = 'queued' AND hold IS NULL
   AND NOT EXISTS (SELECT 1 FROM cancel WHERE job_id = ?1 AND closed_at IS NULL)
   AND NOT EXISTS (SELECT 1 FROM run WHERE job_id = ?1 AND finished_at IS NULL AND kind = 'job')
   AND (task_id IS NULL OR EXISTS (SELECT 1 FROM task WHERE id = job.task_id AND state = 'running' AND stop_at IS NULL))
   AND ?2 > coalesce((SELECT max(id) FROM run WHERE job_id = ?1), 0)
   AND (expires_at IS NULL OR expires_at > ?3 OR attempts > 0 OR deferrals > 0)
   AND slots <= ?4
   AND (uses IS NULL OR EXISTS (SELECT 1 FROM admitted_by_pools WHERE job_id = ?1))
   AND (lane IS NULL OR EXISTS (SELECT 1 FROM lane WHERE key = job.lane AND running < max_running))
   AND (stop_group IS NULL
        OR NOT EXISTS (SELECT 1 FROM job f
                        WHERE f.stop_group = job.stop_group AND f.stop_group IS NOT NULL AND f.state = 'failed'
                          AND f.reason <> 'dependency' AND EXISTS (SELECT 1 FROM unresolved WHERE job_id = f.id)))
   AND NOT EXISTS (SELECT 1 FROM pause)
   AND EXISTS (SELECT 1 FROM queue q WHERE q.name = job.queue AND q.paused = 0
                  AND (q.slots IS NULL OR q.slots >= job.slots + (SELECT taken FROM queue_load WHERE queue = job.queue)));

-- name: fits
-- Whether a ready job takes no more slots than ?2.
SELECT slots <= ?2 FROM job WHERE id = ?1 AND state = 'queued' AND hold IS NULL;
