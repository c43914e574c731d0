-- name: derive_history
-- From version 2 to 3, when the tables have their columns and there are no triggers.
CREATE INDEX IF NOT EXISTS event_of_job ON event (job_id, id);
UPDATE run SET dir = (SELECT dir FROM workspace_use WHERE run_id = run.id)
 WHERE finished_at IS NULL AND id IN (SELECT run_id FROM workspace_use);
UPDATE run
   SET claimed_after = coalesce((SELECT id - 1 FROM event WHERE job_id = run.job_id AND run_id = run.id AND kind = 'claimed'), 0),
       ended_after   = (SELECT id - 1 FROM event WHERE job_id = run.job_id AND run_id = run.id AND kind = 'done')
 WHERE kind = 'job';
DELETE FROM event WHERE kind = 'added';
DELETE FROM event WHERE kind = 'claimed' AND EXISTS (SELECT 1 FROM run WHERE id = event.run_id AND job_id = event.job_id AND kind = 'job');
DELETE FROM event
 WHERE kind = 'done' AND EXISTS (SELECT 1 FROM run WHERE id = event.run_id AND job_id = event.job_id AND kind = 'job' AND outcome = 'done');
INSERT INTO counter (name, n) SELECT 'tasks_' || state, n FROM task_tally;
DROP TABLE workspace_use;
DROP TABLE task_tally;
