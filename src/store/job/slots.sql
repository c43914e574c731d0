-- name: set
INSERT INTO meta (key, value) VALUES ('slots', ?1)
    ON CONFLICT DO UPDATE SET value = excluded.value WHERE value IS NOT excluded.value;

-- name: note
INSERT INTO meta (key, value) VALUES ('worker_slots', ?1) ON CONFLICT DO UPDATE SET value = excluded.value;

-- name: wide
-- Jobs that the worker may run now, or not any more.
UPDATE job SET too_wide = NOT too_wide
 WHERE state = 'queued' AND slots > 1 AND too_wide <> (SELECT too_wide FROM wide_truth WHERE job_id = job.id);
