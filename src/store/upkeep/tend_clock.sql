-- A job that has been run waits because the worker said so, for a time, whatever else it waits for; one that has not waits for the instant that a
-- person named.
UPDATE job SET available_at = max(1, available_at + ?1), due_seen = min(due_seen, max(0, available_at + ?1 - 1))
 WHERE state = 'queued' AND state <> 'done' AND available_at > due_seen AND attempts + deferrals + unstarts > 0
