-- A job that has been run waits because the worker said so, for a time; one that has not waits for the instant that somebody named.
UPDATE job SET available_at = max(1, available_at + ?1), due_seen = min(due_seen, max(0, available_at + ?1 - 1))
 WHERE state = 'queued' AND hold = 'time' AND attempts + deferrals + unstarts > 0
