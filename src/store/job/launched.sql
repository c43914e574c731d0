-- name: of_run
SELECT launcher, options, state = 'sent', remote, says, detail, said_at, ran_at, cause, log_at FROM launched WHERE run_id = ?1;

-- name: sent
-- It is known that the engine has the run.
UPDATE launched SET state = 'sent', remote = coalesce(?2, remote), log_at = ?3
 WHERE run_id = ?1 AND EXISTS (SELECT 1 FROM run WHERE id = ?1 AND finished_at IS NULL);

-- name: said
-- What an engine says of a run. `said_at` is when it first said so.
UPDATE launched
   SET says = ?2, detail = ?3, said_at = iif(says IS ?2, said_at, ?4),
       ran_at = CASE WHEN ?2 = 'running' THEN coalesce(ran_at, ?4) ELSE ran_at END
 WHERE run_id = ?1 AND (says IS NOT ?2 OR detail IS NOT ?3);

-- name: asked
-- The first cause counts.
UPDATE launched SET cause = ?2 WHERE run_id = ?1 AND cause IS NULL;

-- name: set_launcher
UPDATE queue SET launcher = ?2, launcher_options = ?3, slots = ?4
 WHERE name = ?1 AND (launcher, launcher_options, slots) IS NOT (?2, ?3, ?4);

-- name: give_up
UPDATE launched SET given_up = 1
 WHERE run_id = ?1 AND state = 'sent' AND EXISTS (SELECT 1 FROM run WHERE id = ?1 AND finished_at IS NULL);

-- name: given_up
SELECT run_id FROM launched WHERE given_up = 1 AND EXISTS (SELECT 1 FROM run WHERE id = launched.run_id AND finished_at IS NULL);

-- name: has_launcher
SELECT EXISTS (SELECT 1 FROM queue WHERE launcher IS NOT NULL AND name = (SELECT queue FROM job WHERE id = ?1));
