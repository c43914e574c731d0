-- tenure: the schema of the file.
--
-- Read this first. It is the interface of the file: every program that opens it, in any language,
-- uses these tables and is bound by these guards.
--
-- There are three kinds of clients:
--
-- * tenure's own connections. They register an SQL function, `sqlite_compileoption_used('TENURE')`
--   (the capability), that returns true there and false in every other SQLite. They may do
--   everything that the rules below allow.
-- * Plain SQL clients. A trigger refuses a statement that changes a column of tenure
--   (SQLITE_CONSTRAINT_TRIGGER, so that no retry loop takes the error for "locked"); its message
--   says what to do instead. Examples of what they may do:
--       INSERT INTO job(command, ...) VALUES (json_array('echo', 'hi')) RETURNING id;
--       INSERT INTO cancel(job_id) VALUES (7);
--       INSERT INTO suspend(job_id) VALUES (7);
--       UPDATE job SET priority = 5 WHERE id = 7;  -- or place, label, user_hold, ...
--       UPDATE queue SET paused = 1 WHERE name = 'slow';
--       INSERT INTO resource(name, job_id, teardown) VALUES ('vm-7', 7, json_array('rm', '7'));
--       UPDATE schedule SET paused = 1 WHERE name = 'nightly';
--       SELECT ... FROM jobs;   -- runs, history, schedules, tasks, task_steps; and any table
--   docs/sql.md lists everything that they may insert, update and delete.
-- * Careless clients: `PRAGMA ignore_check_constraints`, INSERT OR REPLACE, UPDATE OR REPLACE.
--   CHECK constraints alone do not stop them (REPLACE deletes rows without firing DELETE triggers),
--   so every rule is both a CHECK and a trigger, and a BEFORE INSERT trigger refuses what REPLACE
--   would delete.
--
-- There is one section per subject, each in the same order: table, indexes, guards, effects, views.
-- SQLite resolves the bodies of triggers and views when they are used, so a section may name tables
-- of a later one.
--
-- A rule for the values of a row is a CHECK, which covers every statement. A client can switch the
-- CHECK constraints off, so a guard refuses the same values, with a message that names the remedy;
-- where only tenure writes, the guard refuses every statement of a plain client instead. A guard
-- cannot take its message from the rule, because before SQLite 3.47 RAISE accepts only a literal.
-- tests/schema/pairs.rs proves for each CHECK that a guard refuses a value that breaks it, and for
-- each rule of values in a guard that a CHECK refuses it too; the exceptions, which it lists, are
-- what a new row must omit and the contents of `policy`, which only the guard of inserts reads.
--
-- `job` and `resource` have many rules, so they state most of them once, in generated columns:
-- `fault` (the rules of each state) and, in `resource`, `malformed` (the rules for texts). They are
-- NULL, or the name of the broken rule. The CHECK constraints and the guards of both tables read
-- them; `job.fault` is also read by the repair, through an index, and `resource.fault` and
-- `resource.malformed` by nothing else. A BEFORE INSERT trigger sees their new value. A BEFORE
-- UPDATE trigger sees the old value and an AFTER UPDATE trigger the new one, where RAISE(ABORT)
-- undoes the statement in every form (OR REPLACE, OR IGNORE, upsert). Two AFTER UPDATE triggers of
-- one table stay separate if one fires inside the other: with recursive_triggers off, a trigger
-- does not fire within itself.
--
-- Every program that opens the file parses all of this: 28 tables, 73 indexes, 22 views and 149
-- triggers, together 129 KB of text. A stock sqlite3 opens the file and reads from it in some
-- 5 ms, of which about 2 ms are the schema. It has this size because SQLite has no trigger for
-- several events, so nearly every table has three guards, and because a wrong policy is refused
-- with its key and the remedy (`job_insert_guard`, 13 KB). To keep it small, comments precede
-- the statements (SQLite stores those within them), and texts are short.
--
-- A TEXT value can hold bytes that are not UTF-8, which no rule here can detect: a job with such a
-- value fails when it would start, and the rest of the file works. Sizes are limited: 4,000,000
-- bytes for JSON, 4,096 bytes for a directory, four bytes for each character of a name.
--
-- Times are integer milliseconds since 1970-01-01 UTC. The order is that of ids, never of times.
-- Defaults and triggers run in the client's SQLite, so only functions of SQLite 3.38 are used.
--
-- Never open this file with `PRAGMA synchronous = OFF`: a power cut can then lose or tear what that
-- client checkpoints.

----------------------------------------------------------------------------------------------------
-- The file itself

-- Facts about the file itself.
--   file_id              a random name of this file; a restore changes it
--   run_id_limit         run ids below it may have been used; they are reserved in blocks by a
--                        flushed write, so that no id is repeated after a power cut
--   generation           how many workers have started on this file; a higher number in the
--                        directory beside the file means that an older copy was restored
--   slots                how many jobs the worker runs at once, if a person has set that (tenure
--                        slots)
--   worker_queues        JSON array: the queues that the worker serves; missing: all
--   worker_jobs          JSON array: the only jobs that the worker serves, a tenure run
--   worker_slots         how many slots the worker has, or had when it ended
--   runs_forgiven_below  an unknown run id below it is expected; a higher one means that an older
--                        copy was restored
CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Counters over the life of the file, with the instant and the object of the last change. Triggers
-- write `tasks_STATE`, the number of tasks in a state; tenure writes the others:
--   adopted_total             live runs that a later worker took over
--   lost_total                runs whose end no process saw
--   put_back_total            jobs that were requeued because their run had not started
--   impossible_total          rows that the repair has corrected
--   stray_total               recorded runs that the file did not know (an older copy was restored)
--   guards_repaired_total     triggers, views and indexes that were recreated
--   leases_reclaimed_total    leases whose owner was gone
--   leases_forced_total       leases that a person released by force
--   torn_down_total           resources that are gone by their teardown
--   found_gone_total          resources that a probe found gone
--   given_up_total            resources that a person recorded as gone
--   teardown_failed_total     teardowns that failed
--   hooks_done_total          hooks that exited with 0
--   hook_failed_total         runs of hooks that failed
--   hooks_given_up_total      hooks that failed too often
--   workspaces_evicted_total  workspaces that were removed for their size
--   workspaces_swept_total    directories of workspaces that no run used any more
CREATE TABLE counter (
  name    TEXT PRIMARY KEY,
  n       INTEGER NOT NULL DEFAULT 0,
  last_at INTEGER,
  note    TEXT
) STRICT, WITHOUT ROWID;

----------------------------------------------------------------------------------------------------
-- Queues

-- A named queue of jobs. The first job that names a queue inserts its row; a row without settings
-- is deleted with the last job of the queue. `slots` NULL: no limit of its own. `on_failure` is
-- `none`, or `pause`: a job that fails pauses the queue; then `paused_by` is that job, and
-- `paused_at` the time. Triggers maintain these two, `head_id` (the ready job that comes first;
-- NULL: none is ready), `head_priority` and `head_rank` (its priority and its rank) and `is_full`
-- (fewer slots are free than the head takes; without a head: none is free). `launcher` NULL: its
-- jobs run on the worker's machine; else the directory of the launcher that gives them to another
-- engine, and `launcher_options`, a JSON object of texts, is for that. Such a queue has slots.
CREATE TABLE queue (
  name           TEXT PRIMARY KEY,
  slots          INTEGER,
  paused         INTEGER NOT NULL DEFAULT 0,
  on_failure     TEXT    NOT NULL DEFAULT 'none',
  paused_by      INTEGER,
  paused_at      INTEGER,
  max_runtime_ms INTEGER,
  launcher       TEXT,
  launcher_options TEXT NOT NULL DEFAULT '{}',
  head_priority  INTEGER,
  head_rank      REAL,
  head_id        INTEGER,
  is_full        INTEGER NOT NULL DEFAULT 0,
  CONSTRAINT queue_name_is_short        CHECK (length(name) BETWEEN 1 AND 200 AND length(CAST(name AS BLOB)) <= 800),
  CONSTRAINT queue_slots_not_negative   CHECK (slots IS NULL OR slots >= 0),
  CONSTRAINT queue_paused_is_a_flag     CHECK (paused IN (0, 1)),
  CONSTRAINT queue_on_failure_is_known  CHECK (on_failure IN ('none', 'pause')),
  CONSTRAINT queue_max_runtime_positive CHECK (max_runtime_ms IS NULL OR max_runtime_ms > 0),
  CONSTRAINT queue_is_full_is_a_flag    CHECK (is_full IN (0, 1)),
  CONSTRAINT queue_launcher_is_short    CHECK (length(CAST(launcher AS BLOB)) BETWEEN 1 AND 4096),
  CONSTRAINT queue_launcher_has_slots   CHECK (launcher IS NULL OR slots IS NOT NULL),
  CONSTRAINT queue_launcher_options     CHECK (CASE WHEN json_valid(launcher_options) THEN json_type(launcher_options) = 'object' ELSE 0 END
                                               AND length(CAST(launcher_options AS BLOB)) <= 65536)
) STRICT, WITHOUT ROWID;
-- The claim takes the first row of this index: a queue that is open (neither paused nor full) and
-- has a ready job. So its cost does not depend on the number of queues. Those with a launcher are
-- claimed from separately, as their jobs need no free slot of the worker.
CREATE INDEX queue_next ON queue (head_priority DESC, head_rank, head_id)
  WHERE head_id IS NOT NULL AND paused = 0 AND is_full = 0 AND launcher IS NULL;
CREATE INDEX queue_next_launched ON queue (head_priority DESC, head_rank, head_id)
  WHERE head_id IS NOT NULL AND paused = 0 AND is_full = 0 AND launcher IS NOT NULL;

CREATE TRIGGER queue_insert_guard BEFORE INSERT ON queue BEGIN
  SELECT RAISE(ABORT, 'tenure: the name of a queue has 1 to 200 characters and at most 800 bytes')
   WHERE length(NEW.name) NOT BETWEEN 1 AND 200 OR length(CAST(NEW.name AS BLOB)) > 800;
  SELECT RAISE(ABORT, 'tenure: slots of a queue must not be negative, paused must be 0 or 1, max_runtime_ms must be positive')
   WHERE NEW.slots < 0 OR NEW.paused NOT IN (0, 1) OR NEW.max_runtime_ms <= 0;
  SELECT RAISE(ABORT, 'tenure: on_failure of a queue is none or pause') WHERE NEW.on_failure NOT IN ('none', 'pause');
  SELECT RAISE(ABORT, 'tenure: launcher of a queue is a directory of at most 4096 bytes, or NULL')
   WHERE length(CAST(NEW.launcher AS BLOB)) NOT BETWEEN 1 AND 4096;
  SELECT RAISE(ABORT, 'tenure: a queue with a launcher needs slots: how many runs it is given at a time')
   WHERE NEW.launcher IS NOT NULL AND NEW.slots IS NULL;
  SELECT RAISE(ABORT, 'tenure: launcher_options of a queue is a JSON object of at most 65536 bytes')
   WHERE CASE WHEN json_valid(NEW.launcher_options) THEN json_type(NEW.launcher_options) <> 'object' ELSE 1 END
      OR length(CAST(NEW.launcher_options AS BLOB)) > 65536;
  SELECT RAISE(ABORT, 'tenure: head_id, head_priority, head_rank, is_full, paused_by and paused_at are derived; omit them')
   WHERE NEW.head_id IS NOT NULL OR NEW.head_priority IS NOT NULL OR NEW.head_rank IS NOT NULL OR NEW.is_full IS NOT 0
      OR NEW.paused_by IS NOT NULL OR NEW.paused_at IS NOT NULL;
  SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM queue WHERE name = NEW.name);
END;
CREATE TRIGGER queue_update_guard BEFORE UPDATE ON queue BEGIN
  SELECT RAISE(ABORT, 'tenure: a queue keeps its name; use tenure set ID queue=NAME to move a job to another queue')
   WHERE NEW.name IS NOT OLD.name AND NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: slots of a queue must not be negative, paused must be 0 or 1, max_runtime_ms must be positive')
   WHERE NEW.slots < 0 OR NEW.paused NOT IN (0, 1) OR NEW.max_runtime_ms <= 0;
  SELECT RAISE(ABORT, 'tenure: on_failure of a queue is none or pause') WHERE NEW.on_failure NOT IN ('none', 'pause');
  SELECT RAISE(ABORT, 'tenure: launcher of a queue is a directory of at most 4096 bytes, or NULL')
   WHERE length(CAST(NEW.launcher AS BLOB)) NOT BETWEEN 1 AND 4096;
  SELECT RAISE(ABORT, 'tenure: a queue with a launcher needs slots: how many runs it is given at a time')
   WHERE NEW.launcher IS NOT NULL AND NEW.slots IS NULL;
  SELECT RAISE(ABORT, 'tenure: launcher_options of a queue is a JSON object of at most 65536 bytes')
   WHERE CASE WHEN json_valid(NEW.launcher_options) THEN json_type(NEW.launcher_options) <> 'object' ELSE 1 END
      OR length(CAST(NEW.launcher_options AS BLOB)) > 65536;
  SELECT RAISE(ABORT, 'tenure: paused_by and paused_at are derived; to pause or resume a queue UPDATE queue SET paused')
   WHERE ((NEW.paused_by IS NOT NULL AND NEW.paused_by IS NOT OLD.paused_by)
          OR (NEW.paused_at IS NOT NULL AND NEW.paused_at IS NOT OLD.paused_at)) AND NOT sqlite_compileoption_used('TENURE');
END;

CREATE TRIGGER queue_enters AFTER INSERT ON queue BEGIN
  INSERT INTO choose_queue_head (queue) VALUES (NEW.name);
END;
-- A client that sets the head, or that the queue is full, must set it to the true value.
CREATE TRIGGER queue_changes AFTER UPDATE ON queue
WHEN (NEW.head_priority, NEW.head_rank, NEW.head_id, NEW.is_full) IS NOT (OLD.head_priority, OLD.head_rank, OLD.head_id, OLD.is_full) BEGIN
  SELECT RAISE(ABORT, 'tenure: head_id, head_priority, head_rank and is_full are derived; change the jobs or the slots')
   WHERE ((NEW.head_priority, NEW.head_rank, NEW.head_id) IS NOT (OLD.head_priority, OLD.head_rank, OLD.head_id)
          AND (NEW.head_priority, NEW.head_rank, NEW.head_id)
              IS NOT (SELECT head_priority, head_rank, head_id FROM queue_truth WHERE queue = NEW.name))
      OR (NEW.is_full <> OLD.is_full AND NEW.is_full IS NOT (SELECT is_full FROM queue_truth WHERE queue = NEW.name));
END;
CREATE TRIGGER queue_gets_other_slots AFTER UPDATE OF slots, launcher ON queue
WHEN NEW.slots IS NOT OLD.slots OR (NEW.launcher IS NULL) <> (OLD.launcher IS NULL) BEGIN
  UPDATE job SET too_wide = NOT too_wide
   WHERE queue = NEW.name AND state = 'queued' AND slots > 1 AND too_wide <> (SELECT too_wide FROM wide_truth WHERE job_id = job.id);
  INSERT INTO choose_queue_head (queue) VALUES (NEW.name);
END;
-- A queue that is resumed has no cause of its pause any more; the history of that job has it.
CREATE TRIGGER queue_resumes AFTER UPDATE OF paused ON queue WHEN NEW.paused = 0 AND NEW.paused_by IS NOT NULL BEGIN
  INSERT INTO event (job_id, kind, detail) VALUES (NEW.paused_by, 'queue_resumed', 'queue ' || NEW.name || ' was resumed');
  UPDATE queue SET paused_by = NULL, paused_at = NULL WHERE name = NEW.name;
END;

-- The true head and slots of each queue.
CREATE VIEW queue_truth (queue, head_priority, head_rank, head_id, is_full) AS
  SELECT q.name,
         (SELECT priority FROM job WHERE queue = q.name AND state = 'queued' AND hold IS NULL ORDER BY priority DESC, rank, id LIMIT 1),
         (SELECT rank FROM job WHERE queue = q.name AND state = 'queued' AND hold IS NULL ORDER BY priority DESC, rank, id LIMIT 1),
         (SELECT id FROM job WHERE queue = q.name AND state = 'queued' AND hold IS NULL ORDER BY priority DESC, rank, id LIMIT 1),
         CASE WHEN q.slots IS NULL THEN 0 ELSE q.slots < (SELECT taken + wanted FROM queue_load WHERE queue = q.name) END
    FROM queue q;
-- The slots of each queue that its running jobs take, and those that its head would take. (It is
-- read only for a queue with slots of its own.)
CREATE VIEW queue_load (queue, taken, wanted) AS
  SELECT q.name,
         coalesce((SELECT n FROM tally WHERE queue = q.name AND state = 'running' AND hold = ''), 0)
         + coalesce((SELECT sum(slots - 1) FROM job WHERE queue = q.name AND state = 'running' AND slots > 1), 0),
         coalesce((SELECT slots FROM job WHERE id = q.head_id), 1)
    FROM queue q;
-- `INSERT INTO choose_queue_head (queue) VALUES (queue)` stores them; it is a procedure, not a
-- table. A queue that was deleted because it was empty is inserted again with its next queued job.
-- (A trigger of `tally` stores that a queue is full when the number of its running jobs changes.)
CREATE VIEW choose_queue_head (queue) AS SELECT NULL WHERE 0;
CREATE TRIGGER queue_head_is_chosen INSTEAD OF INSERT ON choose_queue_head BEGIN
  UPDATE queue
     SET (head_priority, head_rank, head_id) = (SELECT priority, rank, id FROM job
                                                 WHERE queue = NEW.queue AND state = 'queued' AND hold IS NULL
                                                 ORDER BY priority DESC, rank, id LIMIT 1)
   WHERE name = NEW.queue
     AND (head_priority, head_rank, head_id) IS NOT (SELECT priority, rank, id FROM job
                                                      WHERE queue = NEW.queue AND state = 'queued' AND hold IS NULL
                                                      ORDER BY priority DESC, rank, id LIMIT 1);
  UPDATE queue
     SET is_full = NOT is_full
   WHERE name = NEW.queue
     AND is_full <> CASE WHEN slots IS NULL THEN 0 ELSE slots < (SELECT taken + wanted FROM queue_load WHERE queue = NEW.queue) END;
END;

-- All queues are paused, those that are made later too, while there is a row: the claim looks for
-- one. What each queue has in `paused` stays as it is. `INSERT INTO pause DEFAULT VALUES` pauses,
-- and `DELETE FROM pause` resumes.
CREATE TABLE pause (
  at INTEGER PRIMARY KEY NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
  CONSTRAINT pause_at_not_negative CHECK (at >= 0)
) STRICT, WITHOUT ROWID;

-- A second pause is ignored.
CREATE TRIGGER pause_insert_guard BEFORE INSERT ON pause BEGIN
  SELECT RAISE(ABORT, 'tenure: at is in milliseconds since 1970 and must not be negative; omit it') WHERE NEW.at < 0;
  SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM pause);
END;
CREATE TRIGGER pause_update_guard BEFORE UPDATE ON pause BEGIN
  SELECT RAISE(ABORT, 'tenure: a pause does not change; DELETE FROM pause to resume');
END;

----------------------------------------------------------------------------------------------------
-- Lanes

-- A serial gate: at most `max_running` jobs of this key run at once, in all queues together. A
-- trigger maintains `running`. `of_array`: the lane of one array with its own limit
-- (`--array 0-99%8`); it is deleted when the last job of that array is pruned.
CREATE TABLE lane (
  key         TEXT PRIMARY KEY,
  max_running INTEGER NOT NULL DEFAULT 1,
  running     INTEGER NOT NULL DEFAULT 0,
  of_array    INTEGER NOT NULL DEFAULT 0,
  CONSTRAINT lane_key_is_short         CHECK (length(key) BETWEEN 1 AND 200 AND length(CAST(key AS BLOB)) <= 800),
  CONSTRAINT lane_max_running_positive CHECK (max_running >= 1),
  CONSTRAINT lane_running_not_negative CHECK (running >= 0),
  CONSTRAINT lane_of_array_is_a_flag   CHECK (of_array IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX lane_busy ON lane (key) WHERE running <> 0;

CREATE TRIGGER lane_insert_guard BEFORE INSERT ON lane BEGIN
  SELECT RAISE(ABORT, 'tenure: a new lane is empty; omit running') WHERE NEW.running IS NOT 0;
  SELECT RAISE(ABORT, 'tenure: of_array is 0 or 1') WHERE NEW.of_array NOT IN (0, 1);
  SELECT RAISE(ABORT, 'tenure: a lane has a key of 1 to 200 characters and at most 800 bytes, and max_running is at least 1')
   WHERE length(NEW.key) NOT BETWEEN 1 AND 200 OR length(CAST(NEW.key AS BLOB)) > 800 OR NEW.max_running < 1;
  SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM lane WHERE key = NEW.key);
END;
CREATE TRIGGER lane_update_guard BEFORE UPDATE ON lane BEGIN
  SELECT RAISE(ABORT, 'tenure: key, running and of_array of a lane do not change; to change its limit UPDATE lane SET max_running')
   WHERE (NEW.key, NEW.running, NEW.of_array) IS NOT (OLD.key, OLD.running, OLD.of_array) AND NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: max_running of a lane is at least 1; to stop its jobs, hold them') WHERE NEW.max_running < 1;
END;

-- The queues with waiting members: one index lookup for each queue, however many members wait.
CREATE TRIGGER lane_opens_or_fills AFTER UPDATE OF running, max_running ON lane
WHEN (OLD.running < OLD.max_running) <> (NEW.running < NEW.max_running) BEGIN
  INSERT INTO choose_lane_head (lane, queue) SELECT NEW.key, queue FROM (
    WITH RECURSIVE waiting (queue) AS (
      SELECT min(queue) FROM job WHERE lane = NEW.key AND state = 'queued' AND coalesce(hold, 'lane') = 'lane'
      UNION ALL
      SELECT (SELECT min(queue) FROM job
               WHERE lane = NEW.key AND queue > waiting.queue AND state = 'queued' AND coalesce(hold, 'lane') = 'lane')
        FROM waiting WHERE waiting.queue IS NOT NULL)
    SELECT queue FROM waiting WHERE queue IS NOT NULL);
END;

-- In a lane with room, the best member of each queue that waits for nothing else has the lane's
-- pass and so is ready; in a full lane no member has it. (One per queue, so that a paused or full
-- queue blocks no member of another.)
-- `INSERT INTO choose_lane_head (lane, queue) VALUES (lane, queue)` establishes that for one queue
-- of one lane; it is a procedure, not a table. Triggers call it whenever the answer may have
-- changed, so a job that is held, moved or cancelled never blocks its lane.
CREATE VIEW choose_lane_head (lane, queue) AS SELECT NULL, NULL WHERE 0;
CREATE TRIGGER lane_head_is_chosen INSTEAD OF INSERT ON choose_lane_head BEGIN
  INSERT INTO lane (key) SELECT NEW.lane WHERE NOT EXISTS (SELECT 1 FROM lane WHERE key = NEW.lane);
  UPDATE job SET lane_pass = 0
   WHERE lane = NEW.lane AND queue = NEW.queue AND state = 'queued' AND lane_pass = 1
     AND id IS NOT (SELECT id FROM job WHERE lane = NEW.lane AND queue = NEW.queue AND state = 'queued' AND coalesce(hold, 'lane') = 'lane'
                       AND EXISTS (SELECT 1 FROM lane WHERE key = NEW.lane AND running < max_running)
                     ORDER BY priority DESC, rank, id LIMIT 1);
  UPDATE job SET lane_pass = 1
   WHERE lane_pass = 0
     AND id = (SELECT id FROM job WHERE lane = NEW.lane AND queue = NEW.queue AND state = 'queued' AND coalesce(hold, 'lane') = 'lane'
                  AND EXISTS (SELECT 1 FROM lane WHERE key = NEW.lane AND running < max_running)
                ORDER BY priority DESC, rank, id LIMIT 1);
END;

----------------------------------------------------------------------------------------------------
-- Pools

-- A counted thing of the machine, such as the two graphics cards `gpu`: the units of a pool are
-- numbered from 0 to `size` - 1, and a running job has as many of them as it uses. A job is claimed
-- only if all that it uses is free, and gets all of it in that transaction; the transaction that
-- ends its run frees it. `head_id`: the job that comes first among those that wait for this pool,
-- by priority, rank and id; NULL: none waits. Triggers maintain it.
CREATE TABLE pool (
  name    TEXT PRIMARY KEY,
  size    INTEGER NOT NULL,
  head_id INTEGER,
  CONSTRAINT pool_name_is_a_word  CHECK (length(name) <= 64 AND name GLOB '[a-z]*' AND name NOT GLOB '*[^a-z0-9_]*'),
  CONSTRAINT pool_size_is_a_count CHECK (size BETWEEN 0 AND 10000)
) STRICT, WITHOUT ROWID;

-- What each live job uses of each pool. Triggers maintain it: each row is in pool_use_truth.
-- `waits`: the job is queued, only pools and lanes keep it from being ready, and no pool is smaller
-- than what it uses. `lane`: empty for none.
CREATE TABLE pool_use (
  job_id   INTEGER NOT NULL,
  pool     TEXT    NOT NULL,
  amount   INTEGER NOT NULL,
  queue    TEXT    NOT NULL,
  lane     TEXT    NOT NULL,
  priority INTEGER NOT NULL,
  rank     REAL    NOT NULL,
  waits    INTEGER NOT NULL,
  PRIMARY KEY (job_id, pool)
) STRICT, WITHOUT ROWID;
CREATE INDEX pool_use_waits ON pool_use (pool, queue, lane, priority DESC, rank, job_id) WHERE waits = 1;
CREATE INDEX pool_use_of    ON pool_use (pool, amount);

-- The units that running jobs have. The key says that no two jobs have the same one.
CREATE TABLE pool_unit (
  pool   TEXT    NOT NULL,
  unit   INTEGER NOT NULL,
  job_id INTEGER NOT NULL,
  PRIMARY KEY (pool, unit)
) STRICT, WITHOUT ROWID;
CREATE INDEX pool_unit_of ON pool_unit (job_id, pool);

CREATE TRIGGER pool_insert_guard BEFORE INSERT ON pool BEGIN
  SELECT RAISE(ABORT, 'tenure: the name of a pool has 1 to 64 characters of a-z, 0-9 and _, and begins with a letter')
   WHERE length(NEW.name) > 64 OR NEW.name NOT GLOB '[a-z]*' OR NEW.name GLOB '*[^a-z0-9_]*';
  SELECT RAISE(ABORT, 'tenure: the size of a pool is 0 to 10000') WHERE NEW.size NOT BETWEEN 0 AND 10000;
  SELECT RAISE(ABORT, 'tenure: head_id of a pool is derived; omit it') WHERE NEW.head_id IS NOT NULL;
  SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM pool WHERE name = NEW.name);
END;
CREATE TRIGGER pool_update_guard BEFORE UPDATE ON pool BEGIN
  SELECT RAISE(ABORT, 'tenure: a pool keeps its name; use tenure pool set to make another one') WHERE NEW.name IS NOT OLD.name;
  SELECT RAISE(ABORT, 'tenure: the size of a pool is 0 to 10000') WHERE NEW.size NOT BETWEEN 0 AND 10000;
  SELECT RAISE(ABORT, 'tenure: head_id of a pool is derived; change the jobs')
   WHERE NEW.head_id IS NOT OLD.head_id AND NEW.head_id IS NOT NULL
     AND NOT EXISTS (SELECT 1 FROM pool_use WHERE job_id = NEW.head_id AND pool = NEW.name AND waits = 1);
END;
-- Triggers of every client write these rows, so a client that does must write what is true.
CREATE TRIGGER pool_use_insert_guard BEFORE INSERT ON pool_use BEGIN
  SELECT RAISE(ABORT, 'tenure: pool_use follows the jobs; use tenure set ID use=NAME=N to change what a job uses')
   WHERE NOT EXISTS (SELECT 1 FROM pool_use_truth t
                      WHERE t.job_id = NEW.job_id AND t.pool = NEW.pool
                        AND (t.amount, t.queue, t.lane, t.priority, t.rank, t.waits)
                            IS (NEW.amount, NEW.queue, NEW.lane, NEW.priority, NEW.rank, NEW.waits));
END;
CREATE TRIGGER pool_use_update_guard BEFORE UPDATE ON pool_use BEGIN
  SELECT RAISE(ABORT, 'tenure: pool_use follows the jobs; use tenure set ID use=NAME=N to change what a job uses')
   WHERE NOT EXISTS (SELECT 1 FROM pool_use_truth t
                      WHERE t.job_id = NEW.job_id AND t.pool = NEW.pool
                        AND (t.amount, t.queue, t.lane, t.priority, t.rank, t.waits)
                            IS (NEW.amount, NEW.queue, NEW.lane, NEW.priority, NEW.rank, NEW.waits));
END;
CREATE TRIGGER pool_use_delete_guard BEFORE DELETE ON pool_use BEGIN
  SELECT RAISE(ABORT, 'tenure: pool_use follows the jobs; use tenure set ID use=NAME=N to change what a job uses')
   WHERE EXISTS (SELECT 1 FROM pool_use_truth t WHERE t.job_id = OLD.job_id AND t.pool = OLD.pool);
END;
CREATE TRIGGER pool_unit_insert_guard BEFORE INSERT ON pool_unit BEGIN
  SELECT RAISE(ABORT, 'tenure: a unit belongs to a running job that uses its pool, and to no other; the worker claims it')
   WHERE NOT EXISTS (SELECT 1 FROM pool p JOIN pool_use u ON u.pool = p.name JOIN job j ON j.id = u.job_id
                      WHERE p.name = NEW.pool AND j.id = NEW.job_id AND j.state = 'running' AND NEW.unit BETWEEN 0 AND p.size - 1
                        AND NOT EXISTS (SELECT 1 FROM pool_unit WHERE pool = NEW.pool AND unit = NEW.unit)
                        AND p.size > (SELECT count(*) FROM pool_unit WHERE pool = NEW.pool)
                        AND u.amount > (SELECT count(*) FROM pool_unit WHERE job_id = NEW.job_id AND pool = NEW.pool));
END;
CREATE TRIGGER pool_unit_update_guard BEFORE UPDATE ON pool_unit BEGIN
  SELECT RAISE(ABORT, 'tenure: a unit stays with its job until the run has ended; to end a job INSERT INTO cancel (job_id)');
END;
CREATE TRIGGER pool_unit_delete_guard BEFORE DELETE ON pool_unit BEGIN
  SELECT RAISE(ABORT, 'tenure: a unit stays with its job until the run has ended; to end a job INSERT INTO cancel (job_id)')
   WHERE EXISTS (SELECT 1 FROM job WHERE id = OLD.job_id AND state = 'running');
END;

CREATE TRIGGER pool_changes_its_size AFTER UPDATE OF size ON pool WHEN NEW.size <> OLD.size BEGIN
  UPDATE pool_use SET waits = NOT waits
   WHERE job_id IN (SELECT job_id FROM pool_use
                     WHERE pool = NEW.name AND amount > min(OLD.size, NEW.size) AND amount <= max(OLD.size, NEW.size))
     AND waits <> (SELECT t.waits FROM pool_use_truth t WHERE t.job_id = pool_use.job_id AND t.pool = pool_use.pool);
  INSERT INTO choose_pool_head (pool) SELECT name FROM pool;
END;
-- What lets the jobs of a queue or of a lane start, or no longer. (A pool that no job waits for has
-- no head to choose.)
CREATE TRIGGER queue_opens_or_closes AFTER UPDATE OF paused, slots ON queue
WHEN (NEW.paused, NEW.slots) IS NOT (OLD.paused, OLD.slots) AND EXISTS (SELECT 1 FROM pool_use WHERE waits = 1) BEGIN
  INSERT INTO choose_pool_head (pool) SELECT name FROM pool;
END;
CREATE TRIGGER lane_opens_or_closes AFTER UPDATE OF max_running ON lane
WHEN NEW.max_running <> OLD.max_running AND EXISTS (SELECT 1 FROM pool_use WHERE waits = 1) BEGIN
  INSERT INTO choose_pool_head (pool) SELECT name FROM pool;
END;

-- The rows that `pool_use` should have.
CREATE VIEW pool_use_truth (job_id, pool, amount, queue, lane, priority, rank, waits) AS
  SELECT j.id, u.key, u.value, j.queue, coalesce(j.lane, ''), j.priority, j.rank,
         j.state = 'queued' AND coalesce(j.hold, 'pool') IN ('pool', 'lane')
         AND NOT EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(j.uses) THEN j.uses ELSE '{}' END) o
                          WHERE o.value > coalesce((SELECT size FROM pool WHERE name = o.key), -1))
    FROM job j JOIN json_each(CASE WHEN json_valid(j.uses) THEN j.uses ELSE '{}' END) u
   WHERE j.uses IS NOT NULL AND j.state IN ('queued', 'running') AND u.type = 'integer';
-- Queued jobs that are the first of each pool that they use, and for which all of it is free.
CREATE VIEW admitted_by_pools (job_id) AS
  SELECT j.id FROM job j
   WHERE j.state = 'queued' AND j.uses IS NOT NULL
     AND EXISTS (SELECT 1 FROM pool_use WHERE job_id = j.id AND waits = 1)
     AND NOT EXISTS (SELECT 1 FROM pool_use u LEFT JOIN pool p ON p.name = u.pool
                      WHERE u.job_id = j.id
                        AND (p.head_id IS NOT j.id OR p.size < u.amount + (SELECT count(*) FROM pool_unit WHERE pool = u.pool)));

-- The jobs that wait for pools, and what the worker serves. (Views of their own: SQLite cannot
-- rename a column of a table within a WITH.)
CREATE VIEW waiting_for_pool (job_id, pool, queue, lane, priority, rank) AS
  SELECT job_id, pool, queue, lane, priority, rank FROM pool_use WHERE waits = 1;
CREATE VIEW worker_scope (key, value) AS
  SELECT key, value FROM meta WHERE key IN ('worker_queues', 'worker_jobs') AND json_valid(value);
-- The true head of each pool: of the first jobs of each queue and lane (for a tenure run, of the
-- jobs that it serves) the first one that could start. (Running jobs are counted here: the counts
-- of queues and lanes may be behind while the triggers of one statement fire.)
CREATE VIEW pool_head_truth (pool, head_id) AS
  SELECT p.name, (
    WITH RECURSIVE first (job_id, queue, lane) AS (
      SELECT * FROM (SELECT job_id, queue, lane FROM waiting_for_pool WHERE pool = p.name
                      ORDER BY queue, lane, priority DESC, rank, job_id LIMIT 1)
      UNION ALL
      SELECT n.job_id, n.queue, n.lane FROM first JOIN waiting_for_pool n ON n.pool = p.name AND n.job_id = coalesce(
               (SELECT job_id FROM waiting_for_pool WHERE pool = p.name AND queue = first.queue AND lane > first.lane
                 ORDER BY lane, priority DESC, rank, job_id LIMIT 1),
               (SELECT job_id FROM waiting_for_pool WHERE pool = p.name AND queue > first.queue
                 ORDER BY queue, lane, priority DESC, rank, job_id LIMIT 1))),
    place (i) AS (
      SELECT 0
      UNION ALL
      SELECT i + 1 FROM place WHERE i + 1 < (SELECT json_array_length(value) FROM worker_scope WHERE key = 'worker_jobs')),
    served (job_id) AS (
      SELECT job_id FROM first
       WHERE NOT EXISTS (SELECT 1 FROM worker_scope WHERE key = 'worker_jobs')
         AND NOT EXISTS (SELECT 1 FROM worker_scope WHERE key = 'worker_queues'
                            AND NOT EXISTS (SELECT 1 FROM json_each(worker_scope.value) s WHERE s.value = first.queue))
      UNION ALL
      SELECT (SELECT json_extract(value, '$[' || i || ']') FROM worker_scope WHERE key = 'worker_jobs') FROM place)
    SELECT u.job_id
      FROM served CROSS JOIN waiting_for_pool u ON u.job_id = served.job_id AND u.pool = p.name
      JOIN job j ON j.id = u.job_id LEFT JOIN queue q ON q.name = u.queue
     WHERE coalesce(q.paused, 0) = 0
       AND (q.slots IS NULL OR q.slots >= j.slots + (SELECT coalesce(sum(r.slots), 0) FROM job r
                                                      WHERE r.state = 'running' AND r.state <> 'done' AND r.queue = u.queue))
       AND NOT EXISTS (SELECT 1 FROM lane WHERE key = u.lane
                          AND max_running <= (SELECT count(*) FROM job r
                                               WHERE r.state = 'running' AND r.state <> 'done' AND r.lane = u.lane))
     ORDER BY u.priority DESC, u.rank, u.job_id LIMIT 1)
    FROM pool p;

-- The order within a pool is strict: its head waits until all that it uses is free, and the other
-- jobs of this pool wait behind it, in all queues. So a job that uses much is not overtaken again
-- and again by those that use little. All pools have the same order, so no two jobs wait for each
-- other. Passed over are jobs that could not start if they had all that they use: those of a queue
-- that is paused, has too few free slots, or is not served by the worker, those of a full lane, and
-- those that use more than there is. The head has the pass of its pools while all of it is free.
-- `INSERT INTO choose_pool_head (pool) VALUES (pool)` establishes that for one pool; it is a
-- procedure, not a table.
CREATE VIEW choose_pool_head (pool) AS SELECT NULL WHERE 0;
CREATE TRIGGER pool_head_is_chosen INSTEAD OF INSERT ON choose_pool_head BEGIN
  UPDATE pool SET head_id = (SELECT head_id FROM pool_head_truth WHERE pool = NEW.pool) WHERE name = NEW.pool;
  UPDATE job SET pool_pass = 0
   WHERE state = 'queued' AND pool_pass = 1 AND EXISTS (SELECT 1 FROM pool_use WHERE job_id = job.id AND pool = NEW.pool)
     AND NOT EXISTS (SELECT 1 FROM admitted_by_pools a WHERE a.job_id = job.id);
  UPDATE job SET pool_pass = 1
   WHERE id = (SELECT head_id FROM pool WHERE name = NEW.pool) AND pool_pass = 0
     AND EXISTS (SELECT 1 FROM admitted_by_pools a WHERE a.job_id = job.id);
END;
-- `INSERT INTO place_in_pools (job_id, uses) VALUES (id, uses)` makes the rows of a job in both
-- tables true, and chooses the heads of its pools and of those of its earlier `uses`.
CREATE VIEW place_in_pools (job_id, uses) AS SELECT NULL, NULL WHERE 0;
CREATE TRIGGER pool_rows_are_made INSTEAD OF INSERT ON place_in_pools BEGIN
  DELETE FROM pool_unit WHERE job_id = NEW.job_id AND NOT EXISTS (SELECT 1 FROM job WHERE id = NEW.job_id AND state = 'running');
  DELETE FROM pool_use
   WHERE job_id = NEW.job_id AND NOT EXISTS (SELECT 1 FROM pool_use_truth t WHERE t.job_id = NEW.job_id AND t.pool = pool_use.pool);
  INSERT INTO pool_use (job_id, pool, amount, queue, lane, priority, rank, waits)
    SELECT job_id, pool, amount, queue, lane, priority, rank, waits FROM pool_use_truth WHERE job_id = NEW.job_id
    ON CONFLICT DO UPDATE SET amount = excluded.amount, queue = excluded.queue, lane = excluded.lane, priority = excluded.priority,
                              rank = excluded.rank, waits = excluded.waits;
  INSERT INTO take_units (pool, job_id, amount)
    SELECT pool, job_id, amount - (SELECT count(*) FROM pool_unit n WHERE n.job_id = NEW.job_id AND n.pool = pool_use.pool)
      FROM pool_use
     WHERE job_id = NEW.job_id AND EXISTS (SELECT 1 FROM job WHERE id = NEW.job_id AND state = 'running')
       AND amount > (SELECT count(*) FROM pool_unit n WHERE n.job_id = NEW.job_id AND n.pool = pool_use.pool);
  INSERT INTO choose_pool_head (pool)
    SELECT key FROM json_each((SELECT CASE WHEN json_valid(uses) THEN uses ELSE '{}' END FROM job WHERE id = NEW.job_id))
    UNION SELECT key FROM json_each(CASE WHEN json_valid(NEW.uses) THEN NEW.uses ELSE '{}' END);
END;
-- Gives a job the lowest free units of a pool; a procedure too.
CREATE VIEW take_units (pool, job_id, amount) AS SELECT NULL, NULL, NULL WHERE 0;
CREATE TRIGGER units_are_taken INSTEAD OF INSERT ON take_units BEGIN
  INSERT INTO pool_unit (pool, unit, job_id)
    SELECT NEW.pool, n, NEW.job_id FROM (
      WITH RECURSIVE unit (n) AS (
        SELECT 0 UNION ALL SELECT n + 1 FROM unit WHERE n + 1 < (SELECT size FROM pool WHERE name = NEW.pool))
      SELECT n FROM unit WHERE NOT EXISTS (SELECT 1 FROM pool_unit WHERE pool = NEW.pool AND unit = n) LIMIT NEW.amount);
END;

----------------------------------------------------------------------------------------------------
-- Jobs

-- A job: a command and a policy, and its state. Each fact that keeps a queued job waiting has its
-- own column (user_hold, task_hold, unmet, unreleased, available_at, too_wide, uses, lane); `hold`
-- names the first of them and is computed by one expression, so it is never stale. `hold` NULL: the
-- job is ready.
--   command        JSON array of strings; {"hex": "ff00"} for one that is not UTF-8
--   reason         why it ended; NULL until then
--   priority       higher first
--   slots          how many slots of the worker and of its queue it takes
--   place          among the jobs of its priority; NULL: that of its id
--   rank           by it, and then by id, jobs of one priority start
--   uses           JSON object: what it uses of each pool; NULL: nothing
--   available_at   does not start before this instant
--   run_id         the run that owns it (running) or ended it (terminal)
--   pid            first process of a running job; for display only, never proof
--   attempts       runs that count, including the current one
--   expires_at     a job that has not started by then ends as failed, reason `expired`
--   unique_key     at most one live job has it, not counting jobs that are being cancelled
--   stop_group     a number that the jobs of an array have in common, if the rest of them is
--                  cancelled when one fails
--   key_taken      it is being cancelled, and a newer job has its unique_key
--   owner          the uid of the user that it belongs to and runs as; NULL: the owner of the file
--   env            JSON object of strings
--   policy         JSON object: timeouts, limits (docs/sql.md)
--   deferrals      exits with code 75, "not now"
--   failed_starts  how often in a row it was requeued without having started
--   last_reason    reason of the latest run that ended
--   progress       JSON object: percent, text, at
--   result         what the job wrote to TENURE_RESULT, at most 64 KiB
--   user_hold      held by a person
--   task_hold      held by its task
--   unmet          dependencies that are not met yet
--   broken         dependencies that can no longer be met
--   unreleased     resources of its earlier runs that are not released yet
--   due_seen       the latest instant of this job that the worker has seen pass
--   too_wide       it takes more slots than its queue or the worker has
--   pool_pass      all that it uses is free, and it comes first in each of these pools
--   lane_pass      its lane admits it to the head of its queue
-- (`fault`: a list of more than two values would make a temporary index at each change of a row.)
CREATE TABLE job (
  id            INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  command       TEXT    NOT NULL,
  state         TEXT    NOT NULL DEFAULT 'queued',
  hold          TEXT    GENERATED ALWAYS AS (
    CASE WHEN state <> 'queued'                  THEN NULL
         WHEN user_hold                          THEN 'user'
         WHEN task_hold                          THEN 'task'
         WHEN unmet + broken > 0                 THEN 'dependency'
         WHEN unreleased > 0                     THEN 'resource'
         WHEN available_at > due_seen            THEN 'time'
         WHEN too_wide                           THEN 'slots'
         WHEN uses IS NOT NULL AND NOT pool_pass THEN 'pool'
         WHEN lane IS NOT NULL AND NOT lane_pass THEN 'lane' END) VIRTUAL,
  reason        TEXT,
  queue         TEXT    NOT NULL DEFAULT 'default',
  lane          TEXT,
  priority      INTEGER NOT NULL DEFAULT 0,
  slots         INTEGER NOT NULL DEFAULT 1,
  uses          TEXT,
  label         TEXT,
  cwd           TEXT    NOT NULL DEFAULT '/',
  available_at  INTEGER NOT NULL DEFAULT 0,
  run_id        INTEGER,
  pid           INTEGER,
  started_at    INTEGER,
  finished_at   INTEGER,
  attempts      INTEGER NOT NULL DEFAULT 0,
  max_attempts  INTEGER NOT NULL DEFAULT 1,
  created_at    INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
  expires_at    INTEGER,
  unique_key    TEXT,
  array_index   INTEGER,
  stop_group    INTEGER,
  env           TEXT    NOT NULL DEFAULT '{}',
  policy        TEXT    NOT NULL DEFAULT '{}',
  deferrals     INTEGER NOT NULL DEFAULT 0,
  failed_starts INTEGER NOT NULL DEFAULT 0,
  last_reason   TEXT,
  exit_code     INTEGER,
  signal        INTEGER,
  error         TEXT,
  progress      TEXT,
  result        TEXT,
  user_hold     INTEGER NOT NULL DEFAULT 0,
  task_id       INTEGER,
  task_hold     INTEGER NOT NULL DEFAULT 0,
  unmet         INTEGER NOT NULL DEFAULT 0,
  broken        INTEGER NOT NULL DEFAULT 0,
  unreleased    INTEGER NOT NULL DEFAULT 0,
  due_seen      INTEGER NOT NULL DEFAULT 0,
  too_wide      INTEGER NOT NULL DEFAULT 0,
  pool_pass     INTEGER NOT NULL DEFAULT 0,
  lane_pass     INTEGER NOT NULL DEFAULT 0,
  key_taken     INTEGER NOT NULL DEFAULT 0,
  place         REAL,
  owner         INTEGER,
  rank          REAL    GENERATED ALWAYS AS (coalesce(place, id)) VIRTUAL,
  fault         TEXT    GENERATED ALWAYS AS (
    CASE WHEN state <> 'queued' AND state <> 'running' AND state <> 'done' AND state <> 'failed' AND state <> 'cancelled'
           THEN 'state_is_known'
         WHEN state = 'queued'  AND coalesce(run_id, pid, started_at, finished_at, reason) IS NOT NULL THEN 'queued_owns_nothing'
         WHEN state = 'running' AND (run_id IS NULL OR started_at IS NULL OR coalesce(finished_at, reason) IS NOT NULL)
           THEN 'running_has_its_run'
         WHEN state NOT IN ('queued', 'running') AND (reason IS NULL OR finished_at IS NULL OR pid IS NOT NULL) THEN 'ended_says_why'
         WHEN state = 'done' AND (reason <> 'exit' OR exit_code IS NOT 0) THEN 'done_means_exit_zero'
         WHEN attempts < 0 OR deferrals < 0 OR failed_starts < 0 OR max_attempts < 1 THEN 'counts_not_negative' END) VIRTUAL,
  CONSTRAINT job_id_positive           CHECK (id > 0),
  CONSTRAINT job_has_no_fault          CHECK (fault IS NULL),
  CONSTRAINT job_command_is_an_argv    CHECK (json_valid(command) AND json_type(command) = 'array' AND json_array_length(command) > 0),
  CONSTRAINT job_env_is_an_object      CHECK (json_valid(env) AND json_type(env) = 'object'),
  CONSTRAINT job_policy_is_an_object   CHECK (json_valid(policy) AND json_type(policy) = 'object'),
  CONSTRAINT job_reason_is_known       CHECK (reason IS NULL
                                              OR reason IN ('exit', 'signal', 'timeout', 'output', 'memory', 'cancelled', 'shutdown',
                                                            'spawn', 'lost', 'check', 'dependency', 'workspace', 'expired')),
  CONSTRAINT job_pid_positive          CHECK (pid IS NULL OR pid > 0),
  CONSTRAINT job_max_attempts_positive CHECK (max_attempts BETWEEN 1 AND 1000000),
  CONSTRAINT job_slots_positive        CHECK (slots BETWEEN 1 AND 10000),
  CONSTRAINT job_uses_is_an_object     CHECK (uses IS NULL OR (length(CAST(uses AS BLOB)) <= 4096 AND json_valid(uses)
                                                               AND json_type(uses) = 'object')),
  CONSTRAINT job_counts_not_negative   CHECK (unmet >= 0 AND broken >= 0 AND unreleased >= 0),
  CONSTRAINT job_flags_are_flags       CHECK (user_hold IN (0, 1) AND task_hold IN (0, 1) AND too_wide IN (0, 1) AND lane_pass IN (0, 1)
                                              AND pool_pass IN (0, 1) AND key_taken IN (0, 1)),
  CONSTRAINT job_place_in_range        CHECK (place IS NULL OR place BETWEEN -4503599627370496 AND 4503599627370496),
  CONSTRAINT job_times_not_negative    CHECK (available_at >= 0 AND due_seen >= 0 AND created_at >= 0),
  CONSTRAINT job_names_are_short       CHECK (length(queue) BETWEEN 1 AND 200
                                              AND (lane IS NULL OR length(lane) BETWEEN 1 AND 200)
                                              AND (label IS NULL OR length(label) <= 1000)
                                              AND (unique_key IS NULL OR length(unique_key) BETWEEN 1 AND 1000)),
  CONSTRAINT job_names_have_few_bytes  CHECK (length(CAST(queue AS BLOB)) <= 800
                                              AND (lane IS NULL OR length(CAST(lane AS BLOB)) <= 800)
                                              AND (label IS NULL OR length(CAST(label AS BLOB)) <= 4000)
                                              AND (unique_key IS NULL OR length(CAST(unique_key AS BLOB)) <= 4000)),
  CONSTRAINT job_texts_are_small       CHECK (length(CAST(command AS BLOB)) <= 4000000 AND length(CAST(env AS BLOB)) <= 4000000
                                              AND length(CAST(policy AS BLOB)) <= 4000000 AND length(CAST(cwd AS BLOB)) <= 4096),
  CONSTRAINT job_result_is_small       CHECK (result IS NULL OR length(CAST(result AS BLOB)) <= 65536),
  CONSTRAINT job_owner_is_a_user       CHECK (owner IS NULL OR owner BETWEEN 1 AND 4294967294)
) STRICT;

-- The head of each queue; then the two indexes whose first row says what is due next.
CREATE INDEX job_ready      ON job (queue, priority DESC, rank) WHERE state = 'queued' AND hold IS NULL;
CREATE INDEX job_due        ON job (available_at)             WHERE state = 'queued' AND hold = 'time';
CREATE INDEX job_expires    ON job (expires_at)
  WHERE state = 'queued' AND expires_at IS NOT NULL AND attempts = 0 AND deferrals = 0;
-- Jobs that could be the head of their queue in a lane, best first; jobs with their lane's pass;
-- whether a lane has any job left.
CREATE INDEX job_in_lane    ON job (lane, queue, priority DESC, rank)
  WHERE state = 'queued' AND lane IS NOT NULL AND coalesce(hold, 'lane') = 'lane';
CREATE INDEX job_lane_pass  ON job (lane, queue)              WHERE state = 'queued' AND lane_pass = 1;
-- Jobs that a person has moved.
CREATE INDEX job_moved      ON job (queue, priority, place)   WHERE state = 'queued' AND place IS NOT NULL;
CREATE INDEX job_of_lane    ON job (lane)                     WHERE lane > '';
-- Jobs that take several slots: the running ones of a queue, and those that wait.
CREATE INDEX job_wide       ON job (queue, slots)             WHERE state = 'running' AND slots > 1;
CREATE INDEX job_wide_waits ON job (id)                       WHERE state = 'queued' AND slots > 1;
-- Live jobs that use pools, and those that have the pass of theirs.
CREATE INDEX job_uses       ON job (id)                       WHERE uses IS NOT NULL AND state IN ('queued', 'running');
CREATE INDEX job_pool_pass  ON job (id)                       WHERE state = 'queued' AND pool_pass = 1;
-- Lists: live jobs and those that did not succeed, in all queues and by queue; jobs of a label,
-- newest last. (Most jobs are `done`, and need no index. The few that run are found by their state,
-- so a claim and a settle change one page less.)
CREATE INDEX job_by_state   ON job (state, id)                WHERE state <> 'done';
CREATE INDEX job_of_queue   ON job (queue, state, id)         WHERE state <> 'done' AND state <> 'running';
CREATE INDEX job_label      ON job (label, state, id)         WHERE label IS NOT NULL;
CREATE INDEX job_task       ON job (task_id)                  WHERE task_id IS NOT NULL;
-- Jobs of a user who does not own the file, which are counted when the next one is added.
CREATE INDEX job_of_owner   ON job (owner, state)             WHERE owner IS NOT NULL;
CREATE INDEX job_ended      ON job (finished_at)              WHERE finished_at IS NOT NULL;
-- One live job per key. The key is free again in the transaction that ends the job, and for a newer
-- job as soon as a cancel of this job is open.
CREATE UNIQUE INDEX job_unique_key ON job (unique_key)
  WHERE unique_key IS NOT NULL AND state IN ('queued', 'running') AND key_taken = 0;
-- Jobs that can never start, which the worker ends; jobs that wait for other jobs; jobs that wait
-- for a teardown.
CREATE INDEX job_doomed     ON job (id)                       WHERE state = 'queued' AND broken > 0;
CREATE INDEX job_dependent  ON job (id)                       WHERE state = 'queued' AND hold = 'dependency';
CREATE INDEX job_unreleased ON job (id)                       WHERE state = 'queued' AND unreleased > 0;
-- The jobs of an array that stops when one of them fails.
CREATE INDEX job_stop_group ON job (stop_group, state, id)    WHERE stop_group IS NOT NULL;
-- Live jobs that own files in `secrets/`.
CREATE INDEX job_secrets    ON job (id)
  WHERE state IN ('queued', 'running') AND instr(policy, '"secrets"') + instr(policy, '"kept"') > 0;
-- Rows that the rules make impossible (written with the guards dropped). Both indexes are normally
-- empty, and the worker reads them at every tick.
CREATE INDEX job_fault      ON job (id)                       WHERE fault IS NOT NULL;
CREATE INDEX job_unreadable ON job (id)
  WHERE NOT (json_valid(command) AND json_valid(env) AND json_valid(policy) AND (uses IS NULL OR json_valid(uses)));

-- A new job is queued and owns nothing, the file assigns its id, and REPLACE finds nothing to
-- delete. A job belongs to a task only if the task adds it, in the transaction that advances the
-- task. job::policy_rules has the same rules and messages for a policy; `null` counts as omitted.
-- (`\\u0000` is a backslash and four digits, not a NUL.)
CREATE TRIGGER job_insert_guard BEFORE INSERT ON job BEGIN
  SELECT RAISE(ABORT, 'tenure: the file assigns the id; omit it (and do not use REPLACE on job)')
   WHERE NEW.id IS NOT NULL AND NEW.id <> -1;
  SELECT RAISE(ABORT, 'tenure: a new job is queued; omit state, reason, run_id, pid, started_at, finished_at and the counts')
   WHERE NEW.state IS NOT 'queued'
      OR coalesce(NEW.reason, NEW.run_id, NEW.pid, NEW.started_at, NEW.finished_at, NEW.exit_code, NEW.signal, NEW.last_reason, NEW.result,
                  NEW.error, NEW.progress) IS NOT NULL
      OR (NEW.attempts, NEW.deferrals, NEW.failed_starts, NEW.unmet, NEW.broken, NEW.unreleased, NEW.due_seen, NEW.too_wide, NEW.pool_pass,
          NEW.lane_pass, NEW.key_taken) IS NOT (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  SELECT RAISE(ABORT, 'tenure: queue and lane have 1 to 200 characters, label at most 1000, unique_key 1 to 1000')
   WHERE length(NEW.queue) NOT BETWEEN 1 AND 200 OR length(NEW.lane) NOT BETWEEN 1 AND 200 OR length(NEW.label) > 1000
      OR length(NEW.unique_key) NOT BETWEEN 1 AND 1000;
  SELECT RAISE(ABORT, 'tenure: queue and lane have at most 800 bytes, label and unique_key 4000')
   WHERE length(CAST(NEW.queue AS BLOB)) > 800 OR length(CAST(NEW.lane AS BLOB)) > 800 OR length(CAST(NEW.label AS BLOB)) > 4000
      OR length(CAST(NEW.unique_key AS BLOB)) > 4000;
  SELECT RAISE(ABORT, 'tenure: command, env and policy have at most 4000000 bytes, cwd 4096')
   WHERE length(CAST(NEW.command AS BLOB)) > 4000000 OR length(CAST(NEW.env AS BLOB)) > 4000000
      OR length(CAST(NEW.policy AS BLOB)) > 4000000 OR length(CAST(NEW.cwd AS BLOB)) > 4096;
  SELECT RAISE(ABORT,
    'tenure: max_attempts is 1 to 1000000, slots 1 to 10000, user_hold and task_hold 0 or 1, available_at and created_at not negative')
   WHERE NEW.max_attempts NOT BETWEEN 1 AND 1000000 OR NEW.slots NOT BETWEEN 1 AND 10000 OR NEW.user_hold NOT IN (0, 1)
      OR NEW.task_hold NOT IN (0, 1) OR NEW.available_at < 0 OR NEW.created_at < 0;
  SELECT RAISE(ABORT, 'tenure: place of a job is between -4503599627370496 and 4503599627370496; omit it for that of its id')
   WHERE NEW.place NOT BETWEEN -4503599627370496 AND 4503599627370496;
  SELECT RAISE(ABORT, 'tenure: a task adds its own jobs; omit task_id and task_hold (tenure task start)')
   WHERE (NEW.task_id IS NOT NULL OR NEW.task_hold)
     AND NOT EXISTS (SELECT 1 FROM task WHERE id = NEW.task_id AND state = 'running' AND job_id IS NULL AND stop_at IS NULL);
  SELECT RAISE(ABORT, 'tenure: owner is the uid of a user, 1 to 4294967294; omit it for a job of the owner of the file')
   WHERE NEW.owner NOT BETWEEN 1 AND 4294967294;
  UPDATE job SET key_taken = 1
   WHERE unique_key = NEW.unique_key AND unique_key IS NOT NULL AND state IN ('queued', 'running') AND key_taken = 0
     AND EXISTS (SELECT 1 FROM cancel WHERE job_id = job.id AND closed_at IS NULL);
  SELECT RAISE(ABORT, 'tenure: a live job has this unique_key; wait for it, cancel it, or use another key')
   WHERE NEW.unique_key IS NOT NULL
     AND EXISTS (SELECT 1 FROM job WHERE unique_key = NEW.unique_key AND state IN ('queued', 'running') AND key_taken = 0);
  SELECT RAISE(ABORT, 'tenure: command must be a JSON array of at least one string, such as json_array(''echo'', ''hi'')')
   WHERE NOT json_valid(NEW.command) OR json_type(NEW.command) IS NOT 'array' OR json_array_length(NEW.command) = 0;
  SELECT RAISE(ABORT, 'tenure: each element of command must be a string, and the first must not be empty')
   WHERE json_extract(NEW.command, '$[0]') IS '' OR EXISTS (SELECT 1 FROM json_each(NEW.command) WHERE type NOT IN ('text', 'object'));
  SELECT RAISE(ABORT, 'tenure: a command cannot contain a NUL byte') WHERE instr(replace(NEW.command, '\\', ''), '\u0000') > 0;
  SELECT RAISE(ABORT, 'tenure: env and policy must be JSON objects')
   WHERE NOT json_valid(NEW.env) OR json_type(NEW.env) IS NOT 'object' OR NOT json_valid(NEW.policy)
      OR json_type(NEW.policy) IS NOT 'object';
  SELECT RAISE(ABORT, 'tenure: policy: a text must not contain a NUL byte, which cannot be passed to a program; remove it')
   WHERE instr(replace(NEW.policy, '\\', ''), '\u0000') > 0;
  SELECT CASE p.key
    WHEN 'timeout_ms' THEN CASE WHEN type IS NOT 'integer' OR value NOT BETWEEN 1 AND 3162240000000 THEN RAISE(ABORT,
      'tenure: policy: timeout_ms must be a whole number of milliseconds from 1 to 3162240000000; omit it for no limit') END
    WHEN 'grace_ms' THEN CASE WHEN type IS NOT 'integer' OR value NOT BETWEEN 0 AND 3162240000000 THEN RAISE(ABORT,
      'tenure: policy: grace_ms must be a whole number of milliseconds from 0 to 3162240000000; omit it for 10000') END
    WHEN 'warn' THEN CASE
      WHEN CASE WHEN type IS NOT 'object' THEN 1
                ELSE (SELECT count(*) FROM json_each(p.value)) <> 2
                     OR json_type(value, '$.signal') IS NOT 'integer'
                     OR json_type(value, '$.before_ms') IS NOT 'integer'
                     OR json_extract(value, '$.signal') NOT BETWEEN 1 AND 64
                     OR json_extract(value, '$.before_ms') NOT BETWEEN 0 AND 3162240000000 END
      THEN RAISE(ABORT,
      'tenure: policy: warn must be a signal and a time before the timeout, such as {"signal": 10, "before_ms": 60000}; omit it for none')
      END
    WHEN 'idle_timeout_ms' THEN CASE WHEN type IS NOT 'integer' OR value NOT BETWEEN 1 AND 3162240000000 THEN RAISE(ABORT,
      'tenure: policy: idle_timeout_ms must be a whole number of milliseconds from 1 to 3162240000000; omit it for no limit') END
    WHEN 'backoff_ms' THEN CASE
      WHEN CASE WHEN type IS NOT 'array' THEN 1
                ELSE json_array_length(value) <> 2
                     OR json_type(value, '$[0]') IS NOT 'integer'
                     OR json_type(value, '$[1]') IS NOT 'integer'
                     OR json_extract(value, '$[0]') NOT BETWEEN 0 AND json_extract(value, '$[1]')
                     OR json_extract(value, '$[1]') > 3162240000000 END
      THEN RAISE(ABORT,
      'tenure: policy: backoff_ms must be the first and the longest wait in milliseconds, such as [10000, 3600000]; omit it for these') END
    WHEN 'retry_on' THEN CASE
      WHEN CASE WHEN type IS NOT 'array' THEN 1
                ELSE EXISTS (SELECT 1 FROM json_each(p.value) AS e
                              WHERE NOT coalesce(e.type = 'integer' AND e.value BETWEEN 1 AND 255
                                                 OR e.type = 'text'
                                                    AND e.value IN ('exit', 'signal', 'timeout', 'output', 'memory', 'cancelled',
                                                                    'shutdown', 'spawn', 'lost', 'check', 'dependency', 'workspace',
                                                                    'expired'), 0)) END
      THEN RAISE(ABORT,
      'tenure: policy: retry_on must be a list of exit codes (1 to 255) and end reasons, such as [1, "timeout"]; omit it for the default')
      END
    WHEN 'no_retry_on' THEN CASE
      WHEN CASE WHEN type IS NOT 'array' THEN 1
                ELSE EXISTS (SELECT 1 FROM json_each(p.value) AS e
                              WHERE NOT coalesce(e.type = 'integer' AND e.value BETWEEN 1 AND 255
                                                 OR e.type = 'text'
                                                    AND e.value IN ('exit', 'signal', 'timeout', 'output', 'memory', 'cancelled',
                                                                    'shutdown', 'spawn', 'lost', 'check', 'dependency', 'workspace',
                                                                    'expired'), 0)) END
      THEN RAISE(ABORT,
      'tenure: policy: no_retry_on must be a list of exit codes (1 to 255) and end reasons, such as [1, "timeout"]; omit it for none') END
    WHEN 'max_deferrals' THEN CASE WHEN type IS NOT 'integer' OR value NOT BETWEEN 0 AND 4294967295 THEN RAISE(ABORT,
      'tenure: policy: max_deferrals must be a whole number from 0 to 4294967295; omit it for 20') END
    WHEN 'memory_bytes' THEN CASE WHEN type IS NOT 'integer' OR value NOT BETWEEN 1 AND 9223372036854775807 THEN RAISE(ABORT,
      'tenure: policy: memory_bytes must be a whole number of bytes from 1 to 9223372036854775807; omit it for no limit') END
    WHEN 'nice' THEN CASE WHEN type IS NOT 'integer' OR value NOT BETWEEN -20 AND 19 THEN RAISE(ABORT,
      'tenure: policy: nice must be a whole number from -20 to 19; omit it for that of the worker') END
    WHEN 'user' THEN CASE WHEN type IS NOT 'text' OR value = '' THEN RAISE(ABORT,
      'tenure: policy: user must be the name of a user; omit it for that of the worker') END
    WHEN 'log_limit_bytes' THEN CASE WHEN type IS NOT 'integer' OR value NOT BETWEEN 65536 AND 9223372036854775807 THEN RAISE(ABORT,
      'tenure: policy: log_limit_bytes must be a whole number of bytes from 65536 to 9223372036854775807; omit it for 67108864') END
    WHEN 'stdin' THEN CASE
      WHEN CASE WHEN type IS NOT 'object' THEN 1
                ELSE (SELECT count(*) FROM json_each(p.value)) <> 1
                     OR coalesce(json_type(value, '$.file'), json_type(value, '$.kept')) IS NOT 'text' END
      THEN RAISE(ABORT,
      'tenure: policy: stdin must name a file, such as {"file": "/path"}; omit it for an empty one') END
    WHEN 'check' THEN CASE
      WHEN CASE WHEN type IS NOT 'array' THEN 1
                ELSE json_array_length(p.value) NOT BETWEEN 1 AND 65536
                     OR json_extract(p.value, '$[0]') IS ''
                     OR json_extract(p.value, '$[0].hex') IS ''
                     OR EXISTS (SELECT 1 FROM json_each(p.value) AS e
                                 WHERE CASE e.type
                                         WHEN 'text' THEN 0
                                         WHEN 'object' THEN json_type(e.value, '$.hex') IS NOT 'text'
                                                            OR length(json_extract(e.value, '$.hex')) % 2
                                                            OR json_extract(e.value, '$.hex') GLOB '*[^0-9a-fA-F]*'
                                         ELSE 1 END) END
      THEN RAISE(ABORT,
      'tenure: policy: check must be an array of at least one string, such as ["test", "-s", "out"]; omit it for none') END
    WHEN 'hooks' THEN CASE
      WHEN CASE WHEN type IS NOT 'object' THEN 1
                ELSE EXISTS (SELECT 1 FROM json_each(p.value) AS h
                              WHERE CASE WHEN h.type IS NOT 'array' OR h.key NOT IN ('on_failure', 'on_success', 'on_end') THEN 1
                                         ELSE json_array_length(h.value) NOT BETWEEN 1 AND 65536
                                              OR json_extract(h.value, '$[0]') IS ''
                                              OR json_extract(h.value, '$[0].hex') IS ''
                                              OR EXISTS (SELECT 1 FROM json_each(h.value) AS e
                                                          WHERE CASE e.type
                                                                  WHEN 'text' THEN 0
                                                                  WHEN 'object' THEN json_type(e.value, '$.hex') IS NOT 'text'
                                                                                     OR length(json_extract(e.value, '$.hex')) % 2
                                                                                     OR json_extract(e.value, '$.hex') GLOB '*[^0-9a-fA-F]*'
                                                                  ELSE 1 END) END) END
      THEN RAISE(ABORT,
      'tenure: policy: hooks must be an object of on_failure, on_success and on_end, such as {"on_end": ["logger", "x"]}; omit it for none')
      END
    WHEN 'workspace' THEN CASE
      WHEN CASE WHEN type IS NOT 'object' THEN 1
                ELSE json_type(value, '$.key') IS NOT 'text'
                     OR length(json_extract(value, '$.key')) NOT BETWEEN 1 AND 200
                     OR (SELECT count(*) FROM json_each(p.value)) <> 1 + (json_type(value, '$.prepare') IS NOT NULL)
                     OR CASE WHEN coalesce(json_type(value, '$.prepare'), 'null') = 'null' THEN 0
                             ELSE CASE WHEN json_type(value, '$.prepare') IS NOT 'array' THEN 1
                                       ELSE json_array_length(json_extract(p.value, '$.prepare')) NOT BETWEEN 1 AND 65536
                                            OR json_extract(json_extract(p.value, '$.prepare'), '$[0]') IS ''
                                            OR json_extract(json_extract(p.value, '$.prepare'), '$[0].hex') IS ''
                                            OR EXISTS (SELECT 1 FROM json_each(json_extract(p.value, '$.prepare')) AS e
                                                        WHERE CASE e.type
                                                                WHEN 'text' THEN 0
                                                                WHEN 'object' THEN json_type(e.value, '$.hex') IS NOT 'text'
                                                                                   OR length(json_extract(e.value, '$.hex')) % 2
                                                                                   OR json_extract(e.value, '$.hex') GLOB '*[^0-9a-fA-F]*'
                                                                ELSE 1 END) END END END
      THEN RAISE(ABORT,
      'tenure: policy: workspace must have a key of 1 to 200 characters, such as {"key": "app", "prepare": ["make"]}; omit it for none') END
    WHEN 'secrets' THEN CASE
      WHEN CASE WHEN type IS NOT 'object' THEN 1
                ELSE EXISTS (SELECT 1 FROM json_each(p.value) AS e WHERE e.type IS NOT 'text' OR e.key = '' OR instr(e.key, '=') > 0) END
      THEN RAISE(ABORT,
      'tenure: policy: secrets must be an object of names and tokens, which tenure add --secret makes') END
    ELSE RAISE(ABORT, 'tenure: policy: unknown key; docs/sql.md lists the keys') END
    FROM json_each(NEW.policy) AS p WHERE NEW.policy <> '{}' AND p.type <> 'null';
  SELECT RAISE(ABORT, 'tenure: policy: a key is given twice; keep one of them')
   WHERE NEW.policy <> '{}' AND (SELECT count(*) - count(DISTINCT key) FROM json_each(NEW.policy)) > 0;
  SELECT RAISE(ABORT, 'tenure: policy: warn comes before the timeout; give timeout_ms as well')
   WHERE coalesce(json_type(NEW.policy, '$.warn'), 'null') <> 'null'
     AND coalesce(json_type(NEW.policy, '$.timeout_ms'), 'null') = 'null';
  SELECT RAISE(ABORT, 'tenure: policy: a workspace is accessible to the user of the worker only; omit workspace or user')
   WHERE coalesce(json_type(NEW.policy, '$.workspace'), 'null') <> 'null'
     AND coalesce(json_type(NEW.policy, '$.user'), 'null') <> 'null';
END;

-- What a user may do to a job, and whom it runs as, follows from its owner.
CREATE TRIGGER job_keeps_its_owner BEFORE UPDATE OF owner ON job BEGIN
  SELECT RAISE(ABORT, 'tenure: the owner of a job does not change; use tenure --system add as that user')
   WHERE NEW.owner IS NOT OLD.owner;
END;

-- The columns of the worker. Without the capability, the statement is refused with the remedy for
-- its column. With it, only legal moves are possible, and no open cancel, stopped task or full lane
-- is bypassed. `job_fault_guard` checks the row after the change.
CREATE TRIGGER job_owner_guard
BEFORE UPDATE OF id, command, state, reason, queue, lane, slots, uses, cwd, run_id, pid, started_at, finished_at, attempts,
                 max_attempts, created_at, unique_key, array_index, stop_group, env, policy, deferrals, failed_starts, last_reason,
                 exit_code, signal, error, progress, result, task_id, task_hold, due_seen ON job BEGIN
  SELECT CASE
    WHEN OLD.state IN ('done', 'failed', 'cancelled')
      THEN RAISE(ABORT, 'tenure: an ended job does not change; use tenure retry ID to return it to the queue')
    WHEN NEW.progress IS NOT OLD.progress
      THEN RAISE(ABORT, 'tenure: a job reports its progress itself; use tenure progress in the job')
    WHEN OLD.state = 'running'
      THEN RAISE(ABORT, 'tenure: a running job does not change; to end it INSERT INTO cancel (job_id)')
    WHEN NEW.queue IS NOT OLD.queue
      THEN RAISE(ABORT, 'tenure: use tenure set ID queue=NAME to change the queue of a job')
    WHEN NEW.max_attempts IS NOT OLD.max_attempts
      THEN RAISE(ABORT, 'tenure: use tenure set ID retries=N to change max_attempts of a job to N + 1')
    WHEN NEW.policy IS NOT OLD.policy
      THEN RAISE(ABORT, 'tenure: use tenure set ID KEY=VALUE to change the policy of a job, such as timeout=1h')
    WHEN NEW.due_seen IS NOT OLD.due_seen
      THEN RAISE(ABORT, 'tenure: due_seen is derived; to delay a job UPDATE job SET available_at')
    WHEN NEW.task_id IS NOT OLD.task_id OR NEW.task_hold IS NOT OLD.task_hold
      THEN RAISE(ABORT, 'tenure: a job stays in its task; use tenure task hold or tenure task release to hold or release a task')
    WHEN (NEW.command, NEW.cwd, NEW.env, NEW.lane, NEW.slots, NEW.uses, NEW.unique_key)
         IS NOT (OLD.command, OLD.cwd, OLD.env, OLD.lane, OLD.slots, OLD.uses, OLD.unique_key)
      THEN RAISE(ABORT, 'tenure: use tenure set ID KEY=VALUE to change command, cwd, env, lane, slots, use or unique of a job')
    WHEN NEW.state IS NOT OLD.state
      THEN RAISE(ABORT,
        'tenure: the worker sets the state of a job; to end a job INSERT INTO cancel (job_id), to hold it UPDATE job SET user_hold = 1')
    ELSE RAISE(ABORT,
      'tenure: the worker sets this column; docs/sql.md lists what a client may set; to end a job INSERT INTO cancel (job_id)') END
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: a job cannot change from its state to this one')
   WHERE NEW.state IS NOT OLD.state AND OLD.fault IS NULL
     AND NOT EXISTS (SELECT 1 FROM legal_move WHERE before = OLD.state AND after = NEW.state);
  SELECT RAISE(ABORT, 'tenure: a cancelled job does not start and does not return to the queue; use tenure retry')
   WHERE NEW.state IS NOT OLD.state AND NEW.state IN ('queued', 'running') AND OLD.state IN ('queued', 'running')
     AND EXISTS (SELECT 1 FROM cancel WHERE job_id = NEW.id AND closed_at IS NULL);
  SELECT RAISE(ABORT, 'tenure: the task of this job has ended or was asked to stop')
   WHERE NEW.task_id IS NOT NULL AND NEW.state IS NOT OLD.state AND NEW.state IN ('queued', 'running')
     AND NOT EXISTS (SELECT 1 FROM task WHERE id = NEW.task_id AND state = 'running' AND stop_at IS NULL);
  SELECT RAISE(ABORT, 'tenure: the lane of this job is full')
   WHERE NEW.state = 'running' AND OLD.state = 'queued' AND NEW.lane IS NOT NULL
     AND EXISTS (SELECT 1 FROM lane WHERE key = NEW.lane AND running >= max_running);
  SELECT RAISE(ABORT, 'tenure: a pool that this job uses has too few free units')
   WHERE NEW.state = 'running' AND OLD.state = 'queued' AND NEW.uses IS NOT NULL
     AND NOT EXISTS (SELECT 1 FROM admitted_by_pools WHERE job_id = NEW.id);
END;
CREATE TRIGGER job_uses_insert_guard BEFORE INSERT ON job WHEN NEW.uses IS NOT NULL BEGIN
  SELECT RAISE(ABORT, 'tenure: uses must be a JSON object of at most 4096 bytes, such as {"gpu": 1}; omit it for none')
   WHERE length(CAST(NEW.uses AS BLOB)) > 4096 OR NOT json_valid(NEW.uses) OR json_type(NEW.uses) <> 'object';
  SELECT RAISE(ABORT, 'tenure: uses must name each pool once, with a whole number from 1 to 10000, such as {"gpu": 1}; omit it for none')
   WHERE (SELECT count(*) FROM json_each(NEW.uses) WHERE type = 'integer' AND value BETWEEN 1 AND 10000)
         IS NOT (SELECT nullif(count(DISTINCT key), 0) FROM json_each(NEW.uses))
      OR (SELECT count(*) - count(DISTINCT key) FROM json_each(NEW.uses)) > 0;
  SELECT RAISE(ABORT, 'tenure: uses names a pool that does not exist; create it with tenure pool set NAME --limit N')
   WHERE EXISTS (SELECT 1 FROM json_each(NEW.uses) WHERE key NOT IN (SELECT name FROM pool));
END;
CREATE TRIGGER job_uses_update_guard BEFORE UPDATE OF uses, state ON job
WHEN NEW.uses IS NOT NULL AND NEW.state = 'queued' AND (NEW.uses IS NOT OLD.uses OR OLD.state NOT IN ('queued', 'running')) BEGIN
  SELECT RAISE(ABORT, 'tenure: uses must be a JSON object of at most 4096 bytes, such as {"gpu": 1}; omit it for none')
   WHERE length(CAST(NEW.uses AS BLOB)) > 4096 OR NOT json_valid(NEW.uses) OR json_type(NEW.uses) <> 'object';
  SELECT RAISE(ABORT, 'tenure: uses must name each pool once, with a whole number from 1 to 10000, such as {"gpu": 1}; omit it for none')
   WHERE (SELECT count(*) FROM json_each(NEW.uses) WHERE type = 'integer' AND value BETWEEN 1 AND 10000)
         IS NOT (SELECT nullif(count(DISTINCT key), 0) FROM json_each(NEW.uses))
      OR (SELECT count(*) - count(DISTINCT key) FROM json_each(NEW.uses)) > 0;
  SELECT RAISE(ABORT, 'tenure: uses names a pool that does not exist; create it with tenure pool set NAME --limit N')
   WHERE EXISTS (SELECT 1 FROM json_each(NEW.uses) WHERE key NOT IN (SELECT name FROM pool));
END;
CREATE TRIGGER job_takes_its_key_back BEFORE UPDATE OF state ON job
WHEN NEW.unique_key IS NOT NULL AND NEW.state = 'queued' AND OLD.state IN ('failed', 'cancelled') BEGIN
  UPDATE job SET key_taken = 1
   WHERE unique_key = NEW.unique_key AND unique_key IS NOT NULL AND state IN ('queued', 'running') AND key_taken = 0
     AND EXISTS (SELECT 1 FROM cancel WHERE job_id = job.id AND closed_at IS NULL);
END;

-- Rules for all columns and all clients. (`rowid` is another name of the id, which `UPDATE OF id`
-- does not cover.) A terminal row does not change, except by a retry (which changes the state) or
-- to repair a faulty row. Only a job that is being cancelled gives up its key; a retry takes it
-- back if no live job has it. Triggers of every client set the counts, so a client that sets them
-- must set the true value.
CREATE TRIGGER job_update_guard BEFORE UPDATE ON job
WHEN (NEW.id, NEW.key_taken, NEW.unmet, NEW.broken, NEW.unreleased, NEW.too_wide, NEW.pool_pass)
     IS NOT (OLD.id, OLD.key_taken, OLD.unmet, OLD.broken, OLD.unreleased, OLD.too_wide, OLD.pool_pass)
  OR (OLD.state NOT IN ('queued', 'running') AND NEW.state = OLD.state) BEGIN
  SELECT RAISE(ABORT, 'tenure: an id does not change') WHERE NEW.id IS NOT OLD.id;
  SELECT RAISE(ABORT, 'tenure: an ended job does not change; use tenure retry ID to return it to the queue')
   WHERE OLD.state NOT IN ('queued', 'running') AND NEW.state = OLD.state AND OLD.fault IS NULL;
  SELECT RAISE(ABORT, 'tenure: a job keeps its unique_key until it is cancelled; INSERT INTO cancel (job_id)')
   WHERE NEW.key_taken IS NOT OLD.key_taken
     AND (NEW.key_taken = 1 AND EXISTS (SELECT 1 FROM cancel WHERE job_id = OLD.id AND closed_at IS NULL)) IS NOT 1
     AND (NEW.key_taken = 0 AND NEW.state = 'queued' AND OLD.state IN ('failed', 'cancelled')) IS NOT 1;
  SELECT RAISE(ABORT, 'tenure: unmet and broken count the rows of dependency; change those rows')
   WHERE (NEW.unmet, NEW.broken) IS NOT (OLD.unmet, OLD.broken)
     AND (NEW.unmet < 0
          OR NEW.broken < 0
          OR (NEW.unmet > 0) IS NOT EXISTS (SELECT 1 FROM dependency WHERE job_id = NEW.id AND state = 'unmet')
          OR (NEW.broken > 0) IS NOT EXISTS (SELECT 1 FROM dependency WHERE job_id = NEW.id AND state = 'broken'));
  SELECT RAISE(ABORT, 'tenure: unreleased counts the rows of resource; tenure resource ls shows them')
   WHERE NEW.unreleased IS NOT OLD.unreleased
     AND NEW.unreleased IS NOT (SELECT count(*) FROM blocking_resource w WHERE w.job_id = NEW.id);
  SELECT RAISE(ABORT, 'tenure: too_wide is derived; use tenure set ID slots=N to change how many slots a job takes')
   WHERE NEW.too_wide IS NOT OLD.too_wide AND NEW.too_wide IS NOT (SELECT too_wide FROM wide_truth WHERE job_id = OLD.id);
  SELECT RAISE(ABORT, 'tenure: pool_pass is derived; use tenure set ID use=NAME=N to change what a job uses')
   WHERE NEW.pool_pass IS NOT OLD.pool_pass AND NEW.state = OLD.state AND NEW.pool_pass <> 0
     AND (NEW.pool_pass <> 1 OR NOT EXISTS (SELECT 1 FROM admitted_by_pools WHERE job_id = OLD.id));
END;
-- The columns that every client may set while the job is queued.
CREATE TRIGGER job_client_guard BEFORE UPDATE OF priority, label, available_at, user_hold, expires_at, lane_pass ON job BEGIN
  SELECT RAISE(ABORT, 'tenure: only a queued job can be changed, and this one is running; to end it INSERT INTO cancel (job_id)')
   WHERE OLD.state = 'running' AND NEW.state = 'running';
  SELECT RAISE(ABORT, 'tenure: user_hold and lane_pass are 0 or 1') WHERE NEW.user_hold NOT IN (0, 1) OR NEW.lane_pass NOT IN (0, 1);
  SELECT RAISE(ABORT, 'tenure: available_at is in milliseconds since 1970 and must not be negative') WHERE NEW.available_at < 0;
  SELECT RAISE(ABORT, 'tenure: a label has at most 1000 characters and 4000 bytes')
   WHERE NEW.label IS NOT OLD.label AND (length(NEW.label) > 1000 OR length(CAST(NEW.label AS BLOB)) > 4000);
END;
-- (By itself: a claim changes `lane_pass`, and need not look at the place.)
CREATE TRIGGER job_place_guard BEFORE UPDATE OF place ON job BEGIN
  SELECT RAISE(ABORT, 'tenure: only a queued job can be moved, and this one is running; to end it INSERT INTO cancel (job_id)')
   WHERE OLD.state = 'running';
  SELECT RAISE(ABORT, 'tenure: place of a job is between -4503599627370496 and 4503599627370496; NULL is that of its id')
   WHERE NEW.place NOT BETWEEN -4503599627370496 AND 4503599627370496;
END;
-- The rules for the row after the change.
CREATE TRIGGER job_fault_guard AFTER UPDATE ON job WHEN NEW.fault IS NOT NULL AND NEW.fault IS NOT OLD.fault BEGIN
  SELECT CASE NEW.fault
    WHEN 'queued_owns_nothing' THEN RAISE(ABORT, 'tenure: a queued job has no run_id, pid, started_at, finished_at and reason')
    WHEN 'running_has_its_run' THEN RAISE(ABORT, 'tenure: a running job has run_id and started_at, and no finished_at and reason')
    WHEN 'ended_says_why' THEN RAISE(ABORT, 'tenure: an ended job has reason and finished_at, and no pid')
    WHEN 'done_means_exit_zero' THEN RAISE(ABORT, 'tenure: a done job has the reason exit and exit_code 0')
    WHEN 'counts_not_negative' THEN RAISE(ABORT, 'tenure: counts must not be negative')
    ELSE RAISE(ABORT, 'tenure: state is queued, running, done, failed or cancelled') END;
END;
CREATE TRIGGER job_form_guard BEFORE UPDATE OF command, env, policy, result ON job BEGIN
  SELECT RAISE(ABORT, 'tenure: command must be a JSON array, env and policy JSON objects')
   WHERE (NEW.command, NEW.env, NEW.policy) IS NOT (OLD.command, OLD.env, OLD.policy)
     AND NOT (json_valid(NEW.command) AND json_valid(NEW.env) AND json_valid(NEW.policy)
              AND json_type(NEW.command) = 'array' AND json_type(NEW.env) = 'object' AND json_type(NEW.policy) = 'object');
  SELECT RAISE(ABORT, 'tenure: command, env and policy have at most 4000000 bytes, a result 65536')
   WHERE (NEW.command IS NOT OLD.command AND length(CAST(NEW.command AS BLOB)) > 4000000)
      OR (NEW.env IS NOT OLD.env AND length(CAST(NEW.env AS BLOB)) > 4000000)
      OR (NEW.policy IS NOT OLD.policy AND length(CAST(NEW.policy AS BLOB)) > 4000000)
      OR (NEW.result IS NOT OLD.result AND length(CAST(NEW.result AS BLOB)) > 65536);
END;
-- `tenure prune` removes history, with its logs; a live job must be cancelled first.
CREATE TRIGGER job_delete_guard BEFORE DELETE ON job BEGIN
  SELECT RAISE(ABORT, 'tenure: to end a job INSERT INTO cancel (job_id); use tenure prune to remove ended jobs')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: the job is live; cancel it first') WHERE OLD.state IN ('queued', 'running');
END;

-- A new job is counted, and its queue and its lane exist. (A row with the largest possible id would
-- make every later insert fail.) What few jobs need is a trigger with a condition: an INSERT with a
-- SELECT into a table with triggers makes a temporary table first, even for no row.
CREATE TRIGGER job_enters AFTER INSERT ON job BEGIN
  SELECT RAISE(ABORT, 'tenure: the file assigns the id; omit it') WHERE NEW.id < 1;
  SELECT RAISE(ABORT,
    'tenure: no ids are left, because sqlite_sequence was changed; a worker repairs that, and so does tenure doctor --fix')
   WHERE NEW.id > 4503599627370496;
  INSERT INTO tally (state, hold, queue, n) VALUES ('queued', coalesce(NEW.hold, ''), NEW.queue, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER job_enters_a_new_queue AFTER INSERT ON job WHEN NOT EXISTS (SELECT 1 FROM queue WHERE name = NEW.queue) BEGIN
  INSERT INTO queue (name) VALUES (NEW.queue);
END;
CREATE TRIGGER job_enters_first AFTER INSERT ON job
WHEN NEW.hold IS NULL AND EXISTS (SELECT 1 FROM queue WHERE name = NEW.queue AND (head_id IS NULL OR head_priority < NEW.priority
                                                                   OR head_rank > NEW.rank)) BEGIN
  INSERT INTO choose_queue_head (queue) VALUES (NEW.queue);
END;
CREATE TRIGGER job_enters_with_slots AFTER INSERT ON job WHEN NEW.slots > 1 BEGIN
  UPDATE job SET too_wide = NOT too_wide WHERE id = NEW.id AND too_wide <> (SELECT too_wide FROM wide_truth WHERE job_id = NEW.id);
END;
CREATE TRIGGER job_enters_pools AFTER INSERT ON job WHEN NEW.uses IS NOT NULL BEGIN
  INSERT INTO place_in_pools (job_id, uses) VALUES (NEW.id, NULL);
END;
CREATE TRIGGER job_enters_a_lane AFTER INSERT ON job WHEN NEW.lane IS NOT NULL BEGIN
  INSERT INTO choose_lane_head (lane, queue) VALUES (NEW.lane, NEW.queue);
END;

-- Effects of an update, one trigger for each set of columns: SQLite compiles a trigger into each
-- statement that may change one of its columns, so what follows a change of `state` alone must not
-- be compiled into every INSERT, which only passes the lane on (`lane_pass`).
--
-- The counts. A trigger may run inside another one and before it, so a count may be negative for a
-- moment.
CREATE TRIGGER job_is_counted
AFTER UPDATE OF state, queue, user_hold, task_hold, unmet, broken, unreleased, available_at, due_seen, too_wide, uses, pool_pass,
                lane, lane_pass ON job
WHEN (OLD.state, OLD.queue, OLD.hold) IS NOT (NEW.state, NEW.queue, NEW.hold) BEGIN
  INSERT INTO tally (state, hold, queue, n) VALUES (OLD.state, coalesce(OLD.hold, ''), OLD.queue, -1)
    ON CONFLICT DO UPDATE SET n = n - 1;
  INSERT INTO tally (state, hold, queue, n) VALUES (NEW.state, coalesce(NEW.hold, ''), NEW.queue, 1)
    ON CONFLICT DO UPDATE SET n = n + 1;
END;
-- The head of the queue that it leaves or enters, or in which it is or was ready. A requeued job
-- finds its queue even if that was deleted.
CREATE TRIGGER job_may_be_the_head
AFTER UPDATE OF state, queue, priority, slots, user_hold, task_hold, unmet, broken, unreleased, available_at, due_seen, too_wide, uses,
                pool_pass, lane, lane_pass ON job
WHEN (OLD.state, OLD.queue, OLD.hold, OLD.priority, OLD.slots) IS NOT (NEW.state, NEW.queue, NEW.hold, NEW.priority, NEW.slots)
 AND ((OLD.state = 'queued' AND OLD.hold IS NULL) OR (NEW.state = 'queued' AND NEW.hold IS NULL)) BEGIN
  INSERT INTO choose_queue_head (queue) VALUES (NEW.queue);
END;
CREATE TRIGGER job_is_moved AFTER UPDATE OF place ON job WHEN OLD.place IS NOT NEW.place AND NEW.state = 'queued' BEGIN
  INSERT INTO place_in_pools (job_id, uses) SELECT NEW.id, NULL WHERE NEW.uses IS NOT NULL;
  INSERT INTO choose_lane_head (lane, queue) SELECT NEW.lane, NEW.queue WHERE NEW.lane IS NOT NULL;
  INSERT INTO choose_queue_head (queue) VALUES (NEW.queue);
END;
CREATE TRIGGER job_leaves_its_queue AFTER UPDATE OF queue ON job WHEN OLD.queue IS NOT NEW.queue BEGIN
  INSERT INTO choose_queue_head (queue) VALUES (OLD.queue);
END;
CREATE TRIGGER job_returns_to_a_queue AFTER UPDATE OF state, queue ON job
WHEN NEW.state = 'queued' AND (OLD.state, OLD.queue) IS NOT (NEW.state, NEW.queue)
 AND NOT EXISTS (SELECT 1 FROM queue WHERE name = NEW.queue) BEGIN
  INSERT INTO queue (name) VALUES (NEW.queue);
END;

-- Whether there are as many slots as it takes.
CREATE TRIGGER job_takes_other_slots AFTER UPDATE OF state, queue, slots ON job
WHEN (OLD.slots > 1 OR NEW.slots > 1) AND NEW.state = 'queued'
 AND (OLD.state, OLD.queue, OLD.slots) IS NOT (NEW.state, NEW.queue, NEW.slots) BEGIN
  UPDATE job SET too_wide = NOT too_wide WHERE id = NEW.id AND too_wide <> (SELECT too_wide FROM wide_truth WHERE job_id = NEW.id);
END;

-- What it uses follows it: it waits for it, has it, or frees it.
CREATE TRIGGER job_moves_in_its_pools
AFTER UPDATE OF state, queue, lane, priority, slots, uses, user_hold, task_hold, unmet, broken, unreleased, available_at, due_seen,
                too_wide ON job
WHEN (OLD.uses IS NOT NULL OR NEW.uses IS NOT NULL)
 AND (OLD.state, OLD.queue, OLD.lane, OLD.priority, OLD.slots, OLD.uses, coalesce(OLD.hold, 'pool') IN ('pool', 'lane'))
     IS NOT (NEW.state, NEW.queue, NEW.lane, NEW.priority, NEW.slots, NEW.uses, coalesce(NEW.hold, 'pool') IN ('pool', 'lane')) BEGIN
  INSERT INTO place_in_pools (job_id, uses) VALUES (NEW.id, OLD.uses);
END;

-- Jobs of its queue or lane may come first in a pool now, or no longer.
CREATE TRIGGER job_takes_or_leaves_room AFTER UPDATE OF state ON job
WHEN (OLD.state = 'running') <> (NEW.state = 'running') AND EXISTS (SELECT 1 FROM pool_use WHERE waits = 1) BEGIN
  INSERT INTO choose_pool_head (pool)
    SELECT name FROM pool WHERE NEW.lane IS NOT NULL OR EXISTS (SELECT 1 FROM queue WHERE name = NEW.queue AND slots IS NOT NULL);
END;

-- What a failure does to other jobs: it pauses the queue that says so, and stops the rest of an
-- array (from `unresolved`, in steps). A job that fails for lack of another one (`dependency`) does
-- neither: nothing of it has run, and the job that failed has done it where it was.
CREATE TRIGGER job_failure_pauses_its_queue AFTER UPDATE OF state ON job
WHEN NEW.state = 'failed' AND OLD.state IN ('queued', 'running') AND NEW.reason <> 'dependency'
 AND EXISTS (SELECT 1 FROM queue WHERE name = NEW.queue AND on_failure = 'pause' AND paused = 0) BEGIN
  UPDATE queue SET paused = 1, paused_by = NEW.id, paused_at = CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
   WHERE name = NEW.queue;
  INSERT INTO event (job_id, run_id, kind, detail)
    VALUES (NEW.id, NEW.run_id, 'queue_paused', 'queue ' || NEW.queue || ' was paused, because this job failed');
END;
CREATE TRIGGER job_failure_stops_its_array AFTER UPDATE OF state ON job
WHEN NEW.stop_group IS NOT NULL AND NEW.state = 'failed' AND OLD.state IN ('queued', 'running') AND NEW.reason <> 'dependency' BEGIN
  INSERT INTO unresolved (job_id) SELECT NEW.id WHERE NOT EXISTS (SELECT 1 FROM unresolved WHERE job_id = NEW.id);
END;

-- Each move is an event with the name in `legal_move`; `claimed` and `done` are events of the run.
CREATE TRIGGER job_is_an_event AFTER UPDATE OF state ON job
WHEN OLD.state IS NOT NEW.state AND NEW.state NOT IN ('running', 'done') BEGIN
  INSERT INTO event (job_id, run_id, kind, reason, detail)
    SELECT NEW.id, coalesce(NEW.run_id, OLD.run_id), event,
           coalesce(NEW.reason, CASE WHEN OLD.state = 'running' THEN NEW.last_reason END), NEW.error
      FROM legal_move WHERE before = OLD.state AND after = NEW.state;
END;
CREATE TRIGGER job_is_held_or_released AFTER UPDATE OF user_hold ON job
WHEN OLD.user_hold IS NOT NEW.user_hold AND NEW.state = 'queued' BEGIN
  INSERT INTO event (job_id, kind) VALUES (NEW.id, CASE WHEN NEW.user_hold THEN 'held' ELSE 'released' END);
END;

-- The resources of a job that ends are released from this transaction on. A requeued job counts the
-- resources that block its next attempt, as nothing was counted while it was ended. Its lane counts
-- running jobs.
CREATE TRIGGER job_changes_state AFTER UPDATE OF state ON job
WHEN OLD.state IS NOT NEW.state
 AND (NEW.lane IS NOT NULL OR NEW.state = 'queued'
      OR (NEW.state <> 'running' AND EXISTS (SELECT 1 FROM resource WHERE job_id = NEW.id))) BEGIN
  UPDATE resource SET state = 'releasing'
   WHERE job_id = NEW.id AND state = 'held' AND NEW.state IN ('done', 'failed', 'cancelled');
  UPDATE job SET unreleased = (SELECT count(*) FROM blocking_resource w WHERE w.job_id = NEW.id)
   WHERE id = NEW.id AND NEW.state = 'queued'
     AND unreleased IS NOT (SELECT count(*) FROM blocking_resource w WHERE w.job_id = NEW.id);
  UPDATE lane SET running = max(0, running + (NEW.state = 'running') - (OLD.state = 'running'))
   WHERE key = NEW.lane AND (OLD.state = 'running') <> (NEW.state = 'running');
END;

-- The lane passes to the next job.
CREATE TRIGGER job_moves_in_its_lane
AFTER UPDATE OF state, queue, lane, priority, user_hold, task_hold, unmet, broken, unreleased, available_at, due_seen, too_wide,
                uses, pool_pass, lane_pass ON job
WHEN (OLD.lane IS NOT NULL OR NEW.lane IS NOT NULL)
 AND (OLD.state, OLD.queue, OLD.lane, OLD.priority, OLD.hold, OLD.lane_pass)
     IS NOT (NEW.state, NEW.queue, NEW.lane, NEW.priority, NEW.hold, NEW.lane_pass) BEGIN
  INSERT INTO choose_lane_head (lane, queue) SELECT OLD.lane, OLD.queue WHERE OLD.lane IS NOT NULL;
  INSERT INTO choose_lane_head (lane, queue)
    SELECT NEW.lane, NEW.queue
     WHERE NEW.lane IS NOT NULL AND (OLD.lane, OLD.queue) IS NOT (NEW.lane, NEW.queue);
END;

CREATE TRIGGER job_leaves AFTER DELETE ON job BEGIN
  INSERT INTO tally (state, hold, queue, n) VALUES (OLD.state, coalesce(OLD.hold, ''), OLD.queue, -1) ON CONFLICT DO UPDATE SET n = n - 1;
  INSERT INTO choose_queue_head (queue) SELECT OLD.queue WHERE OLD.state IN ('queued', 'running');
END;

-- Whether a queued job takes more slots than there are: those of its queue (0: it is stopped), or
-- those of the worker, or of the last one. Only its own slots, its queue and a change of either
-- limit decide that, so a job with one slot needs no look.
CREATE VIEW wide_truth (job_id, too_wide) AS
  SELECT j.id,
         j.slots > coalesce((SELECT nullif(slots, 0) FROM queue WHERE name = j.queue), j.slots)
         OR (j.slots > coalesce((SELECT nullif(CAST(value AS INTEGER), 0) FROM meta WHERE key = 'worker_slots'), j.slots)
             AND NOT EXISTS (SELECT 1 FROM queue WHERE name = j.queue AND launcher IS NOT NULL))
    FROM job j WHERE j.state = 'queued';

-- Every legal move of a job. `job::state` has the same list in Rust, and a test compares all pairs.
-- `cancelled`: by a client, or not needed (dependency). `failed` from queued: it can never start.
-- `requeued`: retried, deferred, or never started.
CREATE VIEW legal_move (before, after, event) AS VALUES
  ('queued', 'running', 'claimed'), ('running', 'done', 'done'), ('queued', 'cancelled', 'cancelled'), ('queued', 'failed', 'failed'),
  ('running', 'failed', 'failed'), ('running', 'cancelled', 'cancelled'), ('running', 'queued', 'requeued'),
  ('failed', 'queued', 'retried'), ('cancelled', 'queued', 'retried');

-- Jobs as a person sees them: a queued job with an open cancel is shown as cancelled; it never
-- starts.
CREATE VIEW jobs AS
  SELECT j.id, j.command,
         CASE WHEN j.state = 'queued' AND c.id IS NOT NULL THEN 'cancelled' ELSE j.state END AS state,
         CASE WHEN c.id IS NULL THEN j.hold END AS hold,
         CASE WHEN j.state = 'queued' AND c.id IS NOT NULL THEN 'cancelled' ELSE j.reason END AS reason,
         j.queue, j.lane, j.priority, j.slots, j.label, j.cwd, j.available_at, j.run_id, j.pid, j.started_at, j.finished_at,
         j.attempts, j.max_attempts, j.created_at, j.unique_key, j.exit_code, j.signal, j.error,
         c.id IS NOT NULL AS cancelling,
         CASE WHEN j.state = 'running'
              THEN (SELECT suspended_at FROM suspend WHERE run_id = j.run_id AND closed_at IS NULL) END AS suspended_at,
         j.owner
    FROM job j LEFT JOIN cancel c ON c.job_id = j.id AND c.closed_at IS NULL;

----------------------------------------------------------------------------------------------------
-- Runs

-- A run: one attempt at a job, or an auxiliary run: a command around a job (its check, the
-- preparation of its workspace), or one of no job (a teardown, a probe, a hook); `resource_id`,
-- `hook_id` and `workspace` name its purpose. Ids come from reserved blocks and are never reused.
-- `nonce` is also in the header of the run file and in the environment of every process of the run.
-- Only the worker writes these rows.
--   parent         the job's own run, for a check and for a workspace
--   dir            the workspace directory that it uses; neither evicted nor removed meanwhile
--   instance       the worker that claimed it
--   leftovers      processes that outlived the job's own process and were ended with it
--   adopted        how many later workers have adopted it
--   claimed_after  the last event before its claim, for the order of the history
--   ended_after    the last event before its end
CREATE TABLE run (
  id            INTEGER PRIMARY KEY NOT NULL,
  job_id        INTEGER,
  kind          TEXT    NOT NULL DEFAULT 'job',
  parent        INTEGER,
  resource_id   INTEGER,
  hook_id       INTEGER,
  workspace     TEXT,
  dir           TEXT,
  attempt       INTEGER NOT NULL,
  nonce         TEXT    NOT NULL,
  instance      TEXT    NOT NULL,
  boot_id       TEXT    NOT NULL,
  claimed_at    INTEGER NOT NULL,
  pid           INTEGER,
  started_at    INTEGER,
  exited_at     INTEGER,
  finished_at   INTEGER,
  outcome       TEXT,
  reason        TEXT,
  exit_code     INTEGER,
  signal        INTEGER,
  error         TEXT,
  leftovers     TEXT,
  max_rss_bytes INTEGER,
  user_ms       INTEGER,
  system_ms     INTEGER,
  adopted       INTEGER NOT NULL DEFAULT 0,
  claimed_after INTEGER NOT NULL DEFAULT 0,
  ended_after   INTEGER,
  CONSTRAINT run_id_positive      CHECK (id BETWEEN 1 AND 4503599627370496),
  CONSTRAINT run_kind_is_known    CHECK (kind IN ('job', 'check', 'prepare', 'teardown', 'probe', 'hook')),
  CONSTRAINT run_has_its_job      CHECK (job_id IS NOT NULL OR kind NOT IN ('job', 'check')),
  CONSTRAINT run_nonce_is_128_bit CHECK (length(nonce) = 32),
  CONSTRAINT run_outcome_is_known CHECK (outcome IS NULL OR outcome IN ('done', 'failed', 'cancelled', 'lost', 'deferred', 'unstarted')),
  CONSTRAINT run_ended_says_how   CHECK ((finished_at IS NULL) = (outcome IS NULL))
) STRICT;
CREATE INDEX run_of_job         ON run (job_id, id);
CREATE INDEX run_of_resource    ON run (resource_id, id) WHERE resource_id IS NOT NULL;
CREATE INDEX run_of_hook        ON run (hook_id, id)     WHERE hook_id IS NOT NULL;
CREATE INDEX run_open           ON run (job_id)          WHERE finished_at IS NULL;
-- Open auxiliary runs that belong to no run of a job; and the open runs in a workspace.
CREATE INDEX run_open_auxiliary ON run (id)              WHERE finished_at IS NULL AND kind <> 'job' AND parent IS NULL;
CREATE INDEX run_in_dir         ON run (dir)             WHERE finished_at IS NULL AND dir IS NOT NULL;

CREATE TRIGGER run_insert_guard BEFORE INSERT ON run BEGIN
  SELECT RAISE(ABORT, 'tenure: the worker writes the rows of run; to queue a job INSERT INTO job (command)')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: a run id is used once only') WHERE EXISTS (SELECT 1 FROM run WHERE id = NEW.id);
  SELECT RAISE(ABORT, 'tenure: a new run is in no workspace') WHERE NEW.dir IS NOT NULL;
END;
CREATE TRIGGER run_update_guard BEFORE UPDATE ON run BEGIN
  SELECT RAISE(ABORT, 'tenure: the worker writes the rows of run; to end a job INSERT INTO cancel (job_id)')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: an ended run does not change') WHERE OLD.finished_at IS NOT NULL;
  SELECT RAISE(ABORT, 'tenure: a run keeps its id, its job and its nonce')
   WHERE (NEW.id, NEW.job_id, NEW.nonce) IS NOT (OLD.id, OLD.job_id, OLD.nonce);
  SELECT RAISE(ABORT, 'tenure: a run enters an existing workspace, and stays in it')
   WHERE NEW.dir IS NOT OLD.dir AND NEW.dir IS NOT NULL
     AND (OLD.dir IS NOT NULL OR NOT EXISTS (SELECT 1 FROM workspace WHERE dir = NEW.dir));
END;

-- A run ends when its tree is known to be gone. That transaction releases its leases, leaves its
-- workspace, makes its resources `releasing` (the job that waits for them counts them), and clears
-- the auxiliary run of its resource or its hook, also if no worker has evaluated the run (it was
-- lost with a restore). (Most runs hold nothing, which one lookup shows.)
CREATE TRIGGER run_ends AFTER UPDATE OF finished_at ON run
WHEN OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL
 AND (NEW.dir IS NOT NULL OR NEW.resource_id IS NOT NULL OR NEW.hook_id IS NOT NULL
      OR EXISTS (SELECT 1 FROM lease WHERE run_id = NEW.id)
      OR EXISTS (SELECT 1 FROM resource WHERE run_id = NEW.id)) BEGIN
  DELETE FROM lease WHERE run_id = NEW.id;
  UPDATE workspace SET last_used_at = max(last_used_at, NEW.finished_at) WHERE dir = NEW.dir;
  UPDATE resource SET auxiliary_run_id = NULL, again = 0 WHERE id = NEW.resource_id AND auxiliary_run_id = NEW.id;
  UPDATE hook SET auxiliary_run_id = NULL WHERE id = NEW.hook_id AND auxiliary_run_id = NEW.id;
  UPDATE resource SET state = 'releasing', next_at = 0, releasing_since = CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
   WHERE run_id = NEW.id AND state = 'held';
  UPDATE job SET unreleased = (SELECT count(*) FROM blocking_resource w WHERE w.job_id = job.id)
   WHERE id = NEW.job_id AND state IN ('queued', 'running') AND EXISTS (SELECT 1 FROM resource WHERE run_id = NEW.id);
END;

-- A claim and the end of a done job are events of the fewest columns, not in the index
-- `event_of_job`: what they say is in the row of the run. So each change of a job's state has a
-- number.
CREATE TRIGGER run_is_claimed AFTER INSERT ON run WHEN NEW.kind = 'job' BEGIN
  INSERT INTO event (at, run_id, kind) VALUES (NEW.claimed_at, NEW.id, 'claimed');
END;
CREATE TRIGGER run_is_done AFTER UPDATE OF outcome ON run
WHEN NEW.outcome = 'done' AND OLD.outcome IS NULL AND NEW.kind = 'job' BEGIN
  INSERT INTO event (at, run_id, kind) VALUES (NEW.finished_at, NEW.id, 'done');
END;

-- A run that a launcher gives to another engine: written with its claim, so that its name there,
-- `tenure-` and the nonce of the run, is in the file before the engine can know it. `state` is
-- `new` (whether the engine has it is not known yet) or `sent` (it has, or had it). `remote` is
-- what the engine calls it. `says` and `detail` are the last answer of the engine, `said_at` is
-- when it first gave it, and `cause` is why the engine was asked to stop it. `ran_at`: the engine
-- began to run it. `log_at`: where the output of the job begins in the log of the run, after that
-- of the launcher. `given_up`: a person knows that the engine will never answer for it.
CREATE TABLE launched (
  run_id   INTEGER PRIMARY KEY NOT NULL,
  launcher TEXT    NOT NULL,
  options  TEXT    NOT NULL,
  state    TEXT    NOT NULL DEFAULT 'new',
  remote   TEXT,
  says     TEXT,
  detail   TEXT,
  said_at  INTEGER,
  ran_at   INTEGER,
  cause    TEXT,
  log_at   INTEGER,
  given_up INTEGER NOT NULL DEFAULT 0,
  CONSTRAINT launched_state_is_known     CHECK (state IN ('new', 'sent')),
  CONSTRAINT launched_given_up_is_a_flag CHECK (given_up IN (0, 1))
) STRICT;
CREATE INDEX launched_given_up ON launched (run_id) WHERE given_up = 1;

CREATE TRIGGER launched_insert_guard BEFORE INSERT ON launched BEGIN
  SELECT RAISE(ABORT, 'tenure: the worker writes the rows of launched; to queue a job INSERT INTO job (command)')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: a run is given to an engine once') WHERE EXISTS (SELECT 1 FROM launched WHERE run_id = NEW.run_id);
END;
CREATE TRIGGER launched_update_guard BEFORE UPDATE ON launched BEGIN
  SELECT RAISE(ABORT, 'tenure: the worker writes the rows of launched; to end a job INSERT INTO cancel (job_id)')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: a launched run keeps its launcher, and was sent for good')
   WHERE (NEW.run_id, NEW.launcher, NEW.options) IS NOT (OLD.run_id, OLD.launcher, OLD.options)
      OR (OLD.state = 'sent' AND NEW.state <> 'sent');
END;
CREATE TRIGGER launched_delete_guard BEFORE DELETE ON launched WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: a launched run is removed with its job; use tenure prune to remove ended jobs');
END;
CREATE TRIGGER run_is_deleted AFTER DELETE ON run BEGIN
  DELETE FROM launched WHERE run_id = OLD.id;
END;

CREATE VIEW runs AS
  SELECT id, job_id, kind, attempt, pid, started_at, exited_at, finished_at, outcome, reason, exit_code, signal, error,
         max_rss_bytes, user_ms, system_ms FROM run;

----------------------------------------------------------------------------------------------------
-- Dependencies

-- `job_id` waits for `on_job`: until it is done (`done`), ends in any way (`any`), or ends but is
-- not done (`failed`). `state` is `unmet` until the parent ends, then `met` or `broken` (view
-- dependency_truth). A broken dependency ends the waiting job with the reason `dependency`: as
-- failed if the job lacks what it needs, and as cancelled if the job is not needed because its
-- parent did not fail or was not needed either.
CREATE TABLE dependency (
  job_id INTEGER NOT NULL,
  on_job INTEGER NOT NULL,
  need   TEXT    NOT NULL DEFAULT 'done',
  state  TEXT    NOT NULL DEFAULT 'unmet',
  PRIMARY KEY (job_id, on_job),
  CONSTRAINT dependency_need_is_known  CHECK (need IN ('done', 'any', 'failed')),
  CONSTRAINT dependency_state_is_known CHECK (state IN ('unmet', 'met', 'broken')),
  CONSTRAINT dependency_not_on_itself  CHECK (job_id <> on_job)
) STRICT, WITHOUT ROWID;
CREATE INDEX dependency_on    ON dependency (on_job, state);
CREATE INDEX dependency_state ON dependency (job_id, state);
CREATE INDEX dependency_unmet ON dependency (on_job) WHERE state = 'unmet';

-- Ended jobs whose dependants are not all resolved yet, or the rest of whose array is not all
-- cancelled yet. An end that affects many jobs is resolved in steps, so that other clients can
-- write in between; after a crash the worker continues from here.
CREATE TABLE unresolved (
  job_id INTEGER PRIMARY KEY NOT NULL
) STRICT;

-- A dependency is added while the job is queued, on an existing, older job; therefore there are no
-- cycles.
CREATE TRIGGER dependency_insert_guard BEFORE INSERT ON dependency BEGIN
  SELECT RAISE(ABORT, 'tenure: this dependency exists already')
   WHERE EXISTS (SELECT 1 FROM dependency WHERE job_id = NEW.job_id AND on_job = NEW.on_job);
  SELECT RAISE(ABORT, 'tenure: only a queued job can be given a dependency')
   WHERE NOT EXISTS (SELECT 1 FROM job WHERE id = NEW.job_id AND state = 'queued');
  SELECT RAISE(ABORT, 'tenure: the job to wait for does not exist') WHERE NOT EXISTS (SELECT 1 FROM job WHERE id = NEW.on_job);
  SELECT RAISE(ABORT, 'tenure: a job waits only for jobs added before it, so that there are no cycles') WHERE NEW.on_job >= NEW.job_id;
  SELECT RAISE(ABORT, 'tenure: a new dependency is unmet; omit its state') WHERE NEW.state IS NOT 'unmet';
  SELECT RAISE(ABORT, 'tenure: need is done, any or failed') WHERE NEW.need NOT IN ('done', 'any', 'failed');
END;
CREATE TRIGGER dependency_update_guard BEFORE UPDATE ON dependency BEGIN
  SELECT RAISE(ABORT, 'tenure: only the state of a dependency changes, and only to match its parent')
   WHERE (NEW.job_id, NEW.on_job, NEW.need) IS NOT (OLD.job_id, OLD.on_job, OLD.need)
      OR NEW.state IS NOT (SELECT truth FROM dependency_truth WHERE job_id = OLD.job_id AND on_job = OLD.on_job);
END;

-- A dependency on an ended job is resolved immediately, and the waiting job counts its unmet and
-- broken dependencies. Each change counts one up or down, so that a job may wait for thousands;
-- whether any is left is looked up, so that a count that a client has changed neither starts a job
-- early nor blocks it forever.
CREATE TRIGGER dependency_enters AFTER INSERT ON dependency BEGIN
  UPDATE job SET unmet = max(unmet, 0) + 1 WHERE id = NEW.job_id;
  UPDATE dependency SET state = (SELECT truth FROM dependency_truth WHERE job_id = NEW.job_id AND on_job = NEW.on_job)
   WHERE job_id = NEW.job_id AND on_job = NEW.on_job
     AND EXISTS (SELECT 1 FROM job WHERE id = NEW.on_job AND state NOT IN ('queued', 'running'));
END;
CREATE TRIGGER dependency_is_counted AFTER UPDATE OF state ON dependency WHEN OLD.state IS NOT NEW.state BEGIN
  UPDATE job
     SET unmet  = CASE WHEN EXISTS (SELECT 1 FROM dependency WHERE job_id = NEW.job_id AND state = 'unmet')
                       THEN max(1, unmet + (NEW.state = 'unmet') - (OLD.state = 'unmet')) ELSE 0 END,
         broken = CASE WHEN EXISTS (SELECT 1 FROM dependency WHERE job_id = NEW.job_id AND state = 'broken')
                       THEN max(1, broken + (NEW.state = 'broken') - (OLD.state = 'broken')) ELSE 0 END
   WHERE id = NEW.job_id AND state = 'queued';
END;

-- The true state of each dependency, given the state of its parent. (A parent that was not needed
-- itself has not failed.)
CREATE VIEW dependency_truth (job_id, on_job, truth) AS
  SELECT d.job_id, d.on_job,
         CASE WHEN p.state IN ('queued', 'running')                  THEN 'unmet'
              WHEN d.need = 'any'                                    THEN 'met'
              WHEN p.state = 'cancelled' AND p.reason = 'dependency' THEN 'broken'
              WHEN (d.need = 'done') = (p.state = 'done')            THEN 'met'
              ELSE 'broken' END
    FROM dependency d JOIN job p ON p.id = d.on_job;

----------------------------------------------------------------------------------------------------
-- Cancels

-- A request to end a job. At most one is open per job; the settle closes it, and so does
-- `tenure retry`. Any client may insert one; the view `jobs` then shows a queued job as cancelled,
-- and it never starts. `run_id`: the run at the time of the request, if the job was running.
CREATE TABLE cancel (
  id        INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  job_id    INTEGER NOT NULL,
  run_id    INTEGER,
  at        INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
  why       TEXT,
  closed_at INTEGER,
  CONSTRAINT cancel_why_is_short CHECK (why IS NULL OR length(CAST(why AS BLOB)) <= 4000)
) STRICT;
CREATE UNIQUE INDEX cancel_open ON cancel (job_id) WHERE closed_at IS NULL;
CREATE INDEX cancel_of_job      ON cancel (job_id);

-- A second request for the same job is ignored; a request for an ended or unknown job is an error.
CREATE TRIGGER cancel_insert_guard BEFORE INSERT ON cancel BEGIN
  SELECT RAISE(ABORT, 'tenure: the file assigns the id of a cancel; omit it') WHERE NEW.id IS NOT NULL AND NEW.id <> -1;
  SELECT RAISE(ABORT, 'tenure: a new cancel is open; omit closed_at') WHERE NEW.closed_at IS NOT NULL;
  SELECT RAISE(ABORT, 'tenure: why has at most 4000 bytes') WHERE length(CAST(NEW.why AS BLOB)) > 4000;
  SELECT RAISE(ABORT, 'tenure: the job does not exist') WHERE NOT EXISTS (SELECT 1 FROM job WHERE id = NEW.job_id);
  SELECT RAISE(ABORT, 'tenure: the job has already ended')
   WHERE EXISTS (SELECT 1 FROM job WHERE id = NEW.job_id AND state NOT IN ('queued', 'running'));
  SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM cancel WHERE job_id = NEW.job_id AND closed_at IS NULL);
END;
CREATE TRIGGER cancel_is_an_event AFTER INSERT ON cancel BEGIN
  SELECT RAISE(ABORT,
    'tenure: no ids are left, because sqlite_sequence was changed; a worker repairs that, and so does tenure doctor --fix')
   WHERE NEW.id > 4503599627370496;
  INSERT INTO event (job_id, run_id, kind, detail) SELECT NEW.job_id, run_id, 'cancel_asked', NEW.why FROM job WHERE id = NEW.job_id;
END;

----------------------------------------------------------------------------------------------------
-- Suspensions

-- A request to suspend the run of a job, and what became of it: a running job has at most one that
-- is open. Any client may insert one and set `resume_at`; the worker does it. Its row has no effect
-- once its run has ended (`run_id` is not that of the job any more), and the worker closes it.
--   suspended_at  when the processes had been stopped; NULL: they are not, or not yet again
--   resume_at     when a client asked that it continues; NULL: it is to stay suspended
--   closed_at     when it continued, or ended
--   suspended_ms  how long its limits stood still, by the clock of the boot
CREATE TABLE suspend (
  id           INTEGER PRIMARY KEY NOT NULL,
  job_id       INTEGER NOT NULL,
  run_id       INTEGER,
  at           INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
  why          TEXT,
  suspended_at INTEGER,
  resume_at    INTEGER,
  closed_at    INTEGER,
  suspended_ms INTEGER,
  CONSTRAINT suspend_why_is_short      CHECK (why IS NULL OR length(CAST(why AS BLOB)) <= 4000),
  CONSTRAINT suspend_time_not_negative CHECK (suspended_ms IS NULL OR suspended_ms >= 0)
) STRICT;
CREATE UNIQUE INDEX suspend_open ON suspend (run_id) WHERE closed_at IS NULL;
CREATE INDEX suspend_of_job      ON suspend (job_id);

-- A second request for the same run withdraws a request to resume it, and otherwise does nothing.
CREATE TRIGGER suspend_insert_guard BEFORE INSERT ON suspend BEGIN
  SELECT RAISE(ABORT, 'tenure: the file assigns the id of a suspension; omit it') WHERE NEW.id IS NOT NULL AND NEW.id <> -1;
  SELECT RAISE(ABORT, 'tenure: a new suspension is a request; omit run_id, suspended_at, resume_at, closed_at and suspended_ms')
   WHERE coalesce(NEW.run_id, NEW.suspended_at, NEW.resume_at, NEW.closed_at, NEW.suspended_ms) IS NOT NULL;
  SELECT RAISE(ABORT, 'tenure: why has at most 4000 bytes') WHERE length(CAST(NEW.why AS BLOB)) > 4000;
  SELECT RAISE(ABORT, 'tenure: the job does not exist') WHERE NOT EXISTS (SELECT 1 FROM job WHERE id = NEW.job_id);
  SELECT RAISE(ABORT, 'tenure: the job is being cancelled')
   WHERE EXISTS (SELECT 1 FROM cancel WHERE job_id = NEW.job_id AND closed_at IS NULL);
  SELECT RAISE(ABORT, 'tenure: the job has not started; to keep it from starting UPDATE job SET user_hold = 1')
   WHERE EXISTS (SELECT 1 FROM job WHERE id = NEW.job_id AND state = 'queued');
  SELECT RAISE(ABORT, 'tenure: the job runs on another engine, which cannot suspend it; to end it INSERT INTO cancel (job_id)')
   WHERE EXISTS (SELECT 1 FROM job JOIN launched ON launched.run_id = job.run_id WHERE job.id = NEW.job_id AND job.state = 'running');
  SELECT RAISE(ABORT, 'tenure: the job has already ended')
   WHERE EXISTS (SELECT 1 FROM job WHERE id = NEW.job_id AND state NOT IN ('queued', 'running'));
  UPDATE suspend SET resume_at = NULL
   WHERE run_id = (SELECT run_id FROM job WHERE id = NEW.job_id) AND closed_at IS NULL AND resume_at IS NOT NULL;
  SELECT RAISE(IGNORE)
   WHERE EXISTS (SELECT 1 FROM suspend WHERE run_id = (SELECT run_id FROM job WHERE id = NEW.job_id) AND closed_at IS NULL);
END;
-- What the worker writes, and what no client changes.
CREATE TRIGGER suspend_update_guard BEFORE UPDATE ON suspend BEGIN
  SELECT RAISE(ABORT, 'tenure: the worker writes the rows of suspend; to continue a job UPDATE suspend SET resume_at')
   WHERE NOT sqlite_compileoption_used('TENURE')
     AND ((NEW.at, NEW.why, NEW.suspended_at, NEW.closed_at, NEW.suspended_ms)
          IS NOT (OLD.at, OLD.why, OLD.suspended_at, OLD.closed_at, OLD.suspended_ms)
          OR NEW.run_id IS NOT (SELECT run_id FROM job WHERE id = NEW.job_id));
  SELECT RAISE(ABORT, 'tenure: a suspension that is over does not change; INSERT INTO suspend (job_id) for another one')
   WHERE OLD.closed_at IS NOT NULL;
  SELECT RAISE(ABORT, 'tenure: a suspension keeps its id and its job') WHERE (NEW.id, NEW.job_id) IS NOT (OLD.id, OLD.job_id);
END;

CREATE TRIGGER suspend_is_asked AFTER INSERT ON suspend BEGIN
  UPDATE suspend SET run_id = (SELECT run_id FROM job WHERE id = NEW.job_id) WHERE id = NEW.id;
  INSERT INTO event (job_id, run_id, kind, detail) SELECT NEW.job_id, run_id, 'suspend_asked', NEW.why FROM job WHERE id = NEW.job_id;
END;
CREATE TRIGGER suspend_is_to_end AFTER UPDATE OF resume_at ON suspend WHEN (NEW.resume_at IS NULL) <> (OLD.resume_at IS NULL) BEGIN
  INSERT INTO event (job_id, run_id, kind)
    VALUES (NEW.job_id, NEW.run_id, CASE WHEN NEW.resume_at IS NULL THEN 'suspend_asked' ELSE 'resume_asked' END);
END;

----------------------------------------------------------------------------------------------------
-- History

-- Events of a job that no other row records; and, with `job_id` NULL, that a run was claimed or is
-- done, whose row says the rest. Each change of a job's state is one of them, or the insertion of
-- the job, and ids only grow in the order of the commits: a program that remembers the highest
-- `event.id` and `job.id` that it has seen misses no change. Written by triggers and by the worker;
-- never changed, and removed only with the job.
CREATE TABLE event (
  id     INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  at     INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
  job_id INTEGER,
  run_id INTEGER,
  kind   TEXT    NOT NULL,
  reason TEXT,
  detail TEXT,
  CONSTRAINT event_texts_are_small CHECK (length(CAST(kind AS BLOB)) <= 100 AND (reason IS NULL OR length(CAST(reason AS BLOB)) <= 100)
                                          AND (detail IS NULL OR length(CAST(detail AS BLOB)) <= 1000000))
) STRICT;
CREATE INDEX event_of_job   ON event (job_id, id) WHERE job_id IS NOT NULL;
-- What a person is to look at.
CREATE INDEX event_failed   ON event (id) WHERE kind = 'failed';
CREATE INDEX event_given_up ON event (id) WHERE kind = 'hook_given_up';

-- History is append-only. The events of a job are pruned with it, so there are no events of a job
-- that does not exist. (Those of a run have no job; only its triggers write them. If a client has
-- exhausted the ids there are none until the worker has repaired that; the jobs run nonetheless.)
CREATE TRIGGER event_insert_guard BEFORE INSERT ON event BEGIN
  SELECT RAISE(ABORT, 'tenure: the file assigns the id of an event; omit it') WHERE NEW.id IS NOT NULL AND NEW.id <> -1;
  SELECT RAISE(ABORT, 'tenure: kind and reason of an event have at most 100 bytes, detail 1000000')
   WHERE length(CAST(NEW.kind AS BLOB)) > 100 OR length(CAST(NEW.reason AS BLOB)) > 100 OR length(CAST(NEW.detail AS BLOB)) > 1000000;
  SELECT RAISE(IGNORE)
   WHERE NOT EXISTS (SELECT 1 FROM job WHERE id = NEW.job_id)
     AND (NEW.job_id IS NOT NULL OR NEW.run_id IS NULL OR NOT sqlite_compileoption_used('TENURE'));
  SELECT CASE WHEN NEW.job_id IS NULL THEN RAISE(IGNORE) ELSE RAISE(ABORT,
      'tenure: no ids are left, because sqlite_sequence was changed; a worker repairs that, and so does tenure doctor --fix') END
   WHERE (SELECT seq FROM sqlite_sequence WHERE name = 'event') >= 4503599627370496;
END;

-- Everything that happened to a job. `added`, `claimed` and `done` are read from the rows of the
-- job and its runs. `seq` is the order within one job.
CREATE VIEW history AS
  SELECT 0 AS seq, created_at AS at, id AS job_id, NULL AS run_id, 'added' AS kind, NULL AS reason, NULL AS detail FROM job
  UNION ALL
  SELECT 4 * claimed_after + 1, claimed_at, job_id, id, 'claimed', NULL, NULL FROM run WHERE kind = 'job'
  UNION ALL
  SELECT 4 * coalesce(ended_after, claimed_after) + 2, finished_at, job_id, id, 'done', reason, error FROM run
   WHERE kind = 'job' AND outcome = 'done'
  UNION ALL
  SELECT 4 * id, at, job_id, run_id, kind, reason, detail FROM event WHERE job_id IS NOT NULL;

----------------------------------------------------------------------------------------------------
-- Counts

-- The number of jobs by state, hold ('' = none) and queue. Triggers maintain it, so `status` and
-- the claim do not count rows.
CREATE TABLE tally (
  state TEXT    NOT NULL,
  hold  TEXT    NOT NULL,
  queue TEXT    NOT NULL,
  n     INTEGER NOT NULL,
  PRIMARY KEY (queue, state, hold),
  CONSTRAINT tally_can_be_counted  CHECK (n BETWEEN -1000000000000 AND 1000000000000),
  CONSTRAINT tally_texts_are_short CHECK (length(CAST(state AS BLOB)) <= 20 AND length(CAST(hold AS BLOB)) <= 20
                                          AND length(CAST(queue AS BLOB)) <= 800)
) STRICT, WITHOUT ROWID;

-- Triggers write the counts, also in clients without the capability. So only values that would make
-- a later count fail are refused.
CREATE TRIGGER tally_insert_guard BEFORE INSERT ON tally BEGIN
  SELECT RAISE(ABORT, 'tenure: tally is maintained by triggers; do not change it')
   WHERE NEW.n NOT BETWEEN -1000000000000 AND 1000000000000 OR length(CAST(NEW.state AS BLOB)) > 20 OR length(CAST(NEW.hold AS BLOB)) > 20
      OR length(CAST(NEW.queue AS BLOB)) > 800;
END;
CREATE TRIGGER tally_update_guard BEFORE UPDATE ON tally BEGIN
  SELECT RAISE(ABORT, 'tenure: tally is maintained by triggers; do not change it')
   WHERE NEW.n NOT BETWEEN -1000000000000 AND 1000000000000 OR (NEW.state, NEW.hold, NEW.queue) IS NOT (OLD.state, OLD.hold, OLD.queue);
END;

-- Whether a queue is full. (The first job that runs in a queue inserts the row; it is 1 then.)
CREATE TRIGGER tally_fills_a_queue AFTER UPDATE OF n ON tally WHEN NEW.state = 'running' AND NEW.hold = '' BEGIN
  UPDATE queue SET is_full = NOT is_full
   WHERE name = NEW.queue AND slots IS NOT NULL
     AND is_full <> (slots < (SELECT taken + wanted FROM queue_load WHERE queue = NEW.queue));
END;
CREATE TRIGGER tally_begins_to_fill_a_queue AFTER INSERT ON tally WHEN NEW.state = 'running' AND NEW.hold = '' BEGIN
  UPDATE queue SET is_full = NOT is_full
   WHERE name = NEW.queue AND slots IS NOT NULL
     AND is_full <> (slots < (SELECT taken + wanted FROM queue_load WHERE queue = NEW.queue));
END;

----------------------------------------------------------------------------------------------------
-- Leases

-- A named lock that at most one owner holds at a time. The owner is the process tree of a
-- foreground command (`run_id` NULL). Whether such a tree is alive is asked of the kernel: every
-- process of the tree has inherited the lock on `FILE.d/leases/NONCE`, and `TENURE_LEASE_NONCE` in
-- its environment. Or it is a run that prepares a workspace (`run_id`); that lease is released when
-- the row of the run ends. `workspace/KEY` is the name of the lease of the process that prepares
-- that workspace (so a name may have 10 more characters than others). A lease has no time to live.
-- `pid`, `job_id`, `command` and `why` are for display; `boot_id` is the boot of the machine in
-- which the owner acquired it.
CREATE TABLE lease (
  name    TEXT PRIMARY KEY,
  nonce   TEXT    NOT NULL,
  run_id  INTEGER,
  job_id  INTEGER,
  pid     INTEGER,
  command TEXT    NOT NULL,
  why     TEXT,
  boot_id TEXT    NOT NULL,
  since   INTEGER NOT NULL,
  CONSTRAINT lease_name_is_short      CHECK (length(name) BETWEEN 1 AND 210),
  CONSTRAINT lease_nonce_is_128_bit   CHECK (length(nonce) = 32 AND nonce NOT GLOB '*[^0-9a-f]*'),
  CONSTRAINT lease_command_is_an_argv CHECK (json_valid(command) AND json_type(command) = 'array'),
  CONSTRAINT lease_why_is_short       CHECK (why IS NULL OR length(why) <= 1000)
) STRICT, WITHOUT ROWID;
CREATE INDEX lease_of_run ON lease (run_id) WHERE run_id IS NOT NULL;

-- A held lease cannot be acquired: the process that sees its owner gone reclaims it first. This
-- also covers REPLACE.
CREATE TRIGGER lease_insert_guard BEFORE INSERT ON lease BEGIN
  SELECT RAISE(ABORT, 'tenure: use tenure lease run to acquire a lease') WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: the lease is held by another owner') WHERE EXISTS (SELECT 1 FROM lease WHERE name = NEW.name);
  SELECT RAISE(ABORT, 'tenure: a lease has a name of 1 to 210 characters, a nonce, and the argv of its owner')
   WHERE length(NEW.name) NOT BETWEEN 1 AND 210 OR length(NEW.nonce) <> 32 OR NEW.nonce GLOB '*[^0-9a-f]*' OR length(NEW.why) > 1000
      OR NOT json_valid(NEW.command) OR json_type(NEW.command) IS NOT 'array';
  SELECT RAISE(ABORT, 'tenure: only a run that has not ended can have a lease')
   WHERE NEW.run_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run WHERE id = NEW.run_id AND finished_at IS NULL);
END;

----------------------------------------------------------------------------------------------------
-- Workspaces

-- A directory that the jobs of a key share. The row names the current directory in `FILE.d/work/`
-- and the command that prepared it (`prepare_command`: its argv; NULL: none); a job with another
-- prepare command has the workspace prepared again. The directory is a cache: if it is gone, it is
-- prepared again. The row is inserted when the directory is complete and in place. It is known to
-- survive a power cut once it is `synced`; so in a later boot than `boot_id` only a synced one is
-- used. `bytes`: the size as last measured.
CREATE TABLE workspace (
  key             TEXT PRIMARY KEY,
  dir             TEXT    NOT NULL,
  prepare_command TEXT,
  bytes           INTEGER,
  prepared_at     INTEGER NOT NULL,
  last_used_at    INTEGER NOT NULL,
  measured_at     INTEGER,
  boot_id         TEXT    NOT NULL,
  synced          INTEGER NOT NULL DEFAULT 0,
  CONSTRAINT workspace_key_is_short       CHECK (length(key) BETWEEN 1 AND 200),
  CONSTRAINT workspace_dir_is_a_name      CHECK (length(dir) BETWEEN 1 AND 100 AND dir NOT GLOB '*[^A-Za-z0-9._-]*' AND dir NOT GLOB '.*'),
  CONSTRAINT workspace_prepare_is_an_argv CHECK (prepare_command IS NULL
                                                 OR (json_valid(prepare_command) AND json_type(prepare_command) = 'array')),
  CONSTRAINT workspace_bytes_not_negative CHECK (bytes IS NULL OR bytes >= 0),
  CONSTRAINT workspace_synced_is_a_flag   CHECK (synced IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX workspace_dir ON workspace (dir);

-- A client that could write these rows could have any directory below `work/` removed, or a job
-- started in one that is not ready.
CREATE TRIGGER workspace_insert_guard BEFORE INSERT ON workspace BEGIN
  SELECT RAISE(ABORT, 'tenure: use tenure workspace ensure to prepare a workspace') WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: this workspace exists already') WHERE EXISTS (SELECT 1 FROM workspace WHERE key = NEW.key);
  SELECT RAISE(ABORT, 'tenure: this directory belongs to another workspace') WHERE EXISTS (SELECT 1 FROM workspace WHERE dir = NEW.dir);
  SELECT RAISE(ABORT, 'tenure: a workspace has a key of 1 to 200 characters, the plain name of a directory, and its prepare command')
   WHERE length(NEW.key) NOT BETWEEN 1 AND 200
      OR length(NEW.dir) NOT BETWEEN 1 AND 100 OR NEW.dir GLOB '*[^A-Za-z0-9._-]*' OR NEW.dir GLOB '.*'
      OR (NEW.prepare_command IS NOT NULL AND (NOT json_valid(NEW.prepare_command) OR json_type(NEW.prepare_command) IS NOT 'array'))
      OR NEW.bytes < 0 OR NEW.synced NOT IN (0, 1);
END;
CREATE TRIGGER workspace_update_guard BEFORE UPDATE ON workspace BEGIN
  SELECT RAISE(ABORT, 'tenure: the worker writes the rows of workspace; use tenure workspace rm, and the next job prepares it again')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: key, dir and prepare_command of a workspace do not change; a workspace that is prepared again is a new row')
   WHERE (NEW.key, NEW.dir, NEW.prepare_command) IS NOT (OLD.key, OLD.dir, OLD.prepare_command);
  SELECT RAISE(ABORT, 'tenure: bytes must not be negative') WHERE NEW.bytes < 0;
END;

----------------------------------------------------------------------------------------------------
-- Resources

-- An external resource (a VM, a container, a directory) that is torn down when its owner, a run, a
-- job or a task, ends in any way. It is `held` while the owner lives, then `releasing`: the worker
-- runs the probe and the teardown until the resource is known to be gone; only then is it
-- `released`. It is recorded before or when it is created.
--   teardown          JSON array of strings; exit 0: it is gone
--   probe             the same; exit 0: it exists, 1: it is gone, any other: unknown
--   cwd               working directory of both; / if it no longer exists
--   env               JSON object of strings
--   timeout_ms        of the teardown; NULL: ten minutes
--   next_at           the next attempt is not before this instant
--   torn              the teardown has reported success, and the probe has yet to confirm it
--   auxiliary_run_id  the auxiliary run that is in progress for it
--   again             it was recorded again meanwhile, so that run is about an earlier resource
--   attempts          failed attempts to tear it down
CREATE TABLE resource (
  id               INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  name             TEXT    NOT NULL,
  state            TEXT    NOT NULL DEFAULT 'held',
  run_id           INTEGER,
  job_id           INTEGER,
  task_id          INTEGER,
  teardown         TEXT    NOT NULL,
  probe            TEXT,
  cwd              TEXT    NOT NULL DEFAULT '/',
  env              TEXT    NOT NULL DEFAULT '{}',
  timeout_ms       INTEGER,
  torn             INTEGER NOT NULL DEFAULT 0,
  auxiliary_run_id INTEGER,
  again            INTEGER NOT NULL DEFAULT 0,
  attempts         INTEGER NOT NULL DEFAULT 0,
  next_at          INTEGER NOT NULL DEFAULT 0,
  last_error       TEXT,
  created_at       INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
  releasing_since  INTEGER,
  released_at      INTEGER,
  released_by      TEXT,
  fault            TEXT    GENERATED ALWAYS AS (
    CASE WHEN state NOT IN ('held', 'releasing', 'released') THEN 'state_is_known'
         WHEN (run_id IS NOT NULL) + (job_id IS NOT NULL) + (task_id IS NOT NULL) <> 1 THEN 'has_one_owner'
         WHEN (state = 'released') <> (released_at IS NOT NULL)
           OR (state = 'released') <> (released_by IS NOT NULL)
           OR released_by NOT IN ('teardown', 'probe', 'force') THEN 'released_says_how'
         WHEN auxiliary_run_id IS NOT NULL AND state <> 'releasing' THEN 'auxiliary_run_needs_releasing'
         WHEN torn NOT IN (0, 1) OR again NOT IN (0, 1) OR attempts < 0 OR timeout_ms <= 0 THEN 'numbers_in_range' END) VIRTUAL,
  malformed        TEXT    GENERATED ALWAYS AS (
    CASE WHEN length(name) NOT BETWEEN 1 AND 200 OR length(CAST(name AS BLOB)) > 800 OR instr(name, char(0)) > 0 THEN 'name'
         WHEN length(CAST(cwd AS BLOB)) > 4096 THEN 'cwd'
         WHEN length(CAST(env AS BLOB)) > 4000000 OR NOT json_valid(env) OR json_type(env) <> 'object' THEN 'env'
         WHEN length(CAST(teardown AS BLOB)) > 4000000
           OR NOT json_valid(teardown) OR json_type(teardown) <> 'array' OR json_array_length(teardown) = 0
           OR json_extract(teardown, '$[0]') IS ''
           OR instr(replace(teardown, '\\', ''), '\u0000') > 0 THEN 'teardown'
         WHEN probe IS NOT NULL
          AND (length(CAST(probe AS BLOB)) > 4000000
               OR NOT json_valid(probe) OR json_type(probe) <> 'array' OR json_array_length(probe) = 0
               OR json_extract(probe, '$[0]') IS ''
               OR instr(replace(probe, '\\', ''), '\u0000') > 0) THEN 'probe' END) VIRTUAL,
  CONSTRAINT resource_has_no_fault         CHECK (fault IS NULL),
  CONSTRAINT resource_is_well_formed       CHECK (malformed IS NULL),
  CONSTRAINT resource_next_at_not_negative CHECK (next_at >= 0)
) STRICT;
-- An owner records a resource once, until that is released.
CREATE UNIQUE INDEX resource_of_run  ON resource (run_id, name)  WHERE run_id  IS NOT NULL AND state <> 'released';
CREATE UNIQUE INDEX resource_of_job  ON resource (job_id, name)  WHERE job_id  IS NOT NULL AND state <> 'released';
CREATE UNIQUE INDEX resource_of_task ON resource (task_id, name) WHERE task_id IS NOT NULL AND state <> 'released';
-- Lists; what to tear down next; what may be pruned; the resources of an owner.
CREATE INDEX resource_live ON resource (state, id)   WHERE state <> 'released';
CREATE INDEX resource_due  ON resource (next_at, id) WHERE state = 'releasing' AND auxiliary_run_id IS NULL;
CREATE INDEX resource_gone ON resource (released_at) WHERE state = 'released';
CREATE INDEX resource_run  ON resource (run_id)      WHERE run_id IS NOT NULL;
CREATE INDEX resource_job  ON resource (job_id)      WHERE job_id IS NOT NULL;
CREATE INDEX resource_task ON resource (task_id)     WHERE task_id IS NOT NULL;

-- A new resource is held and complete. Every client may record one; `tenure resource add` replaces
-- the teardown of an existing one.
CREATE TRIGGER resource_insert_guard BEFORE INSERT ON resource BEGIN
  SELECT RAISE(ABORT, 'tenure: the file assigns the id of a resource; omit it') WHERE NEW.id IS NOT NULL AND NEW.id <> -1;
  SELECT RAISE(ABORT, 'tenure: a new resource is held; give its owner, teardown, probe, cwd and env, and omit the rest')
   WHERE NEW.state IS NOT 'held' OR (NEW.torn, NEW.again, NEW.attempts, NEW.next_at) IS NOT (0, 0, 0, 0)
      OR coalesce(NEW.auxiliary_run_id, NEW.last_error, NEW.releasing_since, NEW.released_at, NEW.released_by) IS NOT NULL;
  SELECT RAISE(ABORT, 'tenure: a resource has one owner: give run_id, job_id or task_id') WHERE NEW.fault = 'has_one_owner';
  SELECT RAISE(ABORT, 'tenure: timeout_ms must be positive') WHERE NEW.fault IS NOT NULL;
  SELECT RAISE(ABORT, 'tenure: the job that is to own the resource does not exist')
   WHERE NEW.job_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM job WHERE id = NEW.job_id);
  SELECT RAISE(ABORT, 'tenure: the task that is to own the resource does not exist')
   WHERE NEW.task_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM task WHERE id = NEW.task_id);
  SELECT CASE NEW.malformed
    WHEN 'name' THEN RAISE(ABORT, 'tenure: the name of a resource has 1 to 200 characters, at most 800 bytes, and no NUL')
    WHEN 'cwd' THEN RAISE(ABORT, 'tenure: cwd has at most 4096 bytes')
    WHEN 'env' THEN RAISE(ABORT, 'tenure: env must be a JSON object of at most 4000000 bytes')
    ELSE RAISE(ABORT,
      'tenure: teardown and probe must be JSON arrays of strings without NUL, at most 4000000 bytes: json_array(''rm'', ''/srv/x'')') END
   WHERE NEW.malformed IS NOT NULL;
  SELECT RAISE(ABORT, 'tenure: each element of teardown and probe must be a string')
   WHERE EXISTS (SELECT 1 FROM json_each(NEW.teardown) WHERE type NOT IN ('text', 'object'))
      OR EXISTS (SELECT 1 FROM json_each(NEW.probe) WHERE type NOT IN ('text', 'object'));
  SELECT RAISE(ABORT, 'tenure: the owner has a resource of this name; use tenure resource add to replace its teardown')
   WHERE EXISTS (SELECT 1 FROM resource WHERE run_id = NEW.run_id AND name = NEW.name AND state <> 'released')
      OR EXISTS (SELECT 1 FROM resource WHERE job_id = NEW.job_id AND name = NEW.name AND state <> 'released')
      OR EXISTS (SELECT 1 FROM resource WHERE task_id = NEW.task_id AND name = NEW.name AND state <> 'released');
END;

-- The columns of the worker. Identity and owner of a resource do not change, and a released
-- resource does not change at all.
CREATE TRIGGER resource_owner_guard
BEFORE UPDATE OF id, name, run_id, job_id, task_id, teardown, probe, cwd, env, timeout_ms, torn, auxiliary_run_id, again, attempts,
                 last_error, created_at, released_at, released_by ON resource BEGIN
  SELECT CASE
    WHEN (NEW.teardown, NEW.probe, NEW.cwd, NEW.env, NEW.timeout_ms) IS NOT (OLD.teardown, OLD.probe, OLD.cwd, OLD.env, OLD.timeout_ms)
      THEN RAISE(ABORT, 'tenure: use tenure resource add to replace teardown, probe, cwd, env or timeout_ms of a resource')
    WHEN (NEW.name, NEW.run_id, NEW.job_id, NEW.task_id) IS NOT (OLD.name, OLD.run_id, OLD.job_id, OLD.task_id)
      THEN RAISE(ABORT, 'tenure: a resource keeps its name and its owner; INSERT INTO resource a new one')
    ELSE RAISE(ABORT,
      'tenure: the worker sets this column; to tear a resource down UPDATE resource SET state = ''releasing'', to retry now next_at = 0')
    END
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: a resource keeps its name and its owner')
   WHERE (NEW.name, NEW.run_id, NEW.job_id, NEW.task_id) IS NOT (OLD.name, OLD.run_id, OLD.job_id, OLD.task_id);
END;
-- Every client may set `releasing` (tear it down now) and `next_at` (when to retry).
CREATE TRIGGER resource_state_guard BEFORE UPDATE ON resource BEGIN
  SELECT RAISE(ABORT, 'tenure: an id does not change') WHERE NEW.id IS NOT OLD.id;
  SELECT RAISE(ABORT, 'tenure: a released resource does not change') WHERE OLD.state = 'released';
  SELECT RAISE(ABORT,
    'tenure: a resource goes from held to releasing, and then to released; to tear it down UPDATE resource SET state = ''releasing''')
   WHERE NEW.state IS NOT OLD.state AND NOT (NEW.state = 'releasing' AND OLD.state = 'held') AND NEW.state IS NOT 'released';
  SELECT RAISE(ABORT, 'tenure: use tenure resource release ID to tear it down; add --force to record it as gone')
   WHERE NEW.state IS NOT OLD.state AND NEW.state = 'released' AND NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: next_at is in milliseconds since 1970 and must not be negative') WHERE NEW.next_at < 0;
END;
-- The rules for the row after the change.
CREATE TRIGGER resource_fault_guard AFTER UPDATE ON resource
WHEN (NEW.fault IS NOT NULL AND NEW.fault IS NOT OLD.fault) OR (NEW.malformed IS NOT NULL AND NEW.malformed IS NOT OLD.malformed) BEGIN
  SELECT CASE NEW.fault
    WHEN 'released_says_how'
      THEN RAISE(ABORT, 'tenure: a released resource has released_at and released_by; use tenure resource release ID')
    WHEN 'auxiliary_run_needs_releasing'
      THEN RAISE(ABORT, 'tenure: only a resource that is releasing has an auxiliary run')
    WHEN 'numbers_in_range'
      THEN RAISE(ABORT, 'tenure: counts must not be negative, torn and again must be 0 or 1, timeout_ms must be positive')
    ELSE RAISE(ABORT, 'tenure: teardown and probe must be JSON arrays, env a JSON object, of 4000000 bytes at most, cwd of 4096') END;
END;
-- A resource that is not known to be gone is not deleted.
CREATE TRIGGER resource_delete_guard BEFORE DELETE ON resource BEGIN
  SELECT RAISE(ABORT,
    'tenure: to tear a resource down UPDATE resource SET state = ''releasing''; use tenure prune to remove released resources')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: tear the resource down first') WHERE OLD.state <> 'released';
END;

-- A resource whose owner has ended, or is unknown, is torn down immediately.
CREATE TRIGGER resource_enters AFTER INSERT ON resource BEGIN
  SELECT RAISE(ABORT, 'tenure: the file assigns the id of a resource; omit it') WHERE NEW.id < 1;
  SELECT RAISE(ABORT,
    'tenure: no ids are left, because sqlite_sequence was changed; a worker repairs that, and so does tenure doctor --fix')
   WHERE NEW.id > 4503599627370496;
  INSERT INTO event (job_id, run_id, kind, detail)
    SELECT coalesce(NEW.job_id, (SELECT job_id FROM run WHERE id = NEW.run_id)), NEW.run_id, 'resource_held', NEW.name;
  UPDATE resource SET state = 'releasing'
   WHERE id = NEW.id
     AND (   (NEW.run_id  IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run  WHERE id = NEW.run_id AND finished_at IS NULL))
          OR (NEW.job_id  IS NOT NULL AND NOT EXISTS (SELECT 1 FROM job  WHERE id = NEW.job_id AND state IN ('queued', 'running')))
          OR (NEW.task_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM task WHERE id = NEW.task_id AND state = 'running')));
END;
-- The job that must wait for it counts it, and the history of that job records it. (A client that
-- also sets `releasing_since`, for many resources at once, counts once afterwards.)
CREATE TRIGGER resource_moves AFTER UPDATE OF state ON resource WHEN OLD.state IS NOT NEW.state BEGIN
  UPDATE resource SET releasing_since = CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), next_at = 0
   WHERE id = NEW.id AND state = 'releasing' AND releasing_since IS NULL;
  INSERT INTO event (job_id, run_id, kind, detail)
    SELECT coalesce(NEW.job_id, (SELECT job_id FROM run WHERE id = NEW.run_id)), NEW.run_id, 'resource_' || NEW.state,
           NEW.name || coalesce(' (' || NEW.released_by || ')', '');
  UPDATE job SET unreleased = (SELECT count(*) FROM blocking_resource w WHERE w.job_id = job.id)
   WHERE id = coalesce(NEW.job_id, (SELECT job_id FROM run WHERE id = NEW.run_id)) AND state IN ('queued', 'running')
     AND (NEW.state = 'released' OR NEW.releasing_since IS NULL);
END;

-- Each resource that blocks a job's next attempt: one of an ended run of the job, or one of the job
-- itself from before a retry. It must be gone before the next attempt creates it again. (Found by
-- the owner: with the condition of `resource_live` SQLite would read all resources that any job
-- waits for.)
CREATE VIEW blocking_resource (job_id, resource_id) AS
  SELECT run.job_id, r.id FROM run CROSS JOIN resource r ON r.run_id = run.id
   WHERE r.state = 'releasing' AND run.job_id IS NOT NULL
  UNION ALL
  SELECT r.job_id, r.id FROM resource r WHERE r.state = 'releasing' AND r.job_id IS NOT NULL;

----------------------------------------------------------------------------------------------------
-- Schedules: jobs that are made when a cron line is due

-- A schedule: a cron line, read in a time zone, and the job that each of its occurrences becomes
-- (`template`, JSON as in job::template). Every occurrence up to `decided_until` is decided;
-- `next_at` is the first one after it (NULL: there is none, or the line cannot be read, see
-- `last_error`). Rows of occurrences up to `pruned_until` may be deleted, so none of those is ever
-- fired again. Occurrences from `paused_at` until before `resumed_at` are skipped; a trigger
-- maintains both columns, so any client may set `paused`. `overlap`: what becomes of an occurrence
-- while an earlier job of the schedule is queued or running. `jitter_ms`: each job starts so much
-- later at most. `boot_id`, of a line `@reboot` only: the boot of the machine for which it is
-- decided; '': the next one that a worker sees.
CREATE TABLE schedule (
  id            INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  name          TEXT    NOT NULL UNIQUE,
  cron          TEXT    NOT NULL,
  zone          TEXT    NOT NULL,
  catch_up      TEXT    NOT NULL DEFAULT 'latest',
  catch_up_max  INTEGER NOT NULL DEFAULT 100,
  paused        INTEGER NOT NULL DEFAULT 0,
  paused_at     INTEGER,
  resumed_at    INTEGER,
  template      TEXT    NOT NULL,
  decided_until INTEGER NOT NULL,
  next_at       INTEGER,
  pruned_until  INTEGER NOT NULL DEFAULT 0,
  created_at    INTEGER NOT NULL,
  last_error    TEXT,
  overlap       TEXT    NOT NULL DEFAULT 'allow',
  jitter_ms     INTEGER NOT NULL DEFAULT 0,
  boot_id       TEXT,
  CONSTRAINT schedule_id_positive           CHECK (id > 0),
  CONSTRAINT schedule_name_is_short         CHECK (length(name) BETWEEN 1 AND 200),
  CONSTRAINT schedule_cron_is_short         CHECK (length(cron) BETWEEN 1 AND 200 AND length(zone) BETWEEN 1 AND 200),
  CONSTRAINT schedule_catch_up_is_known     CHECK (catch_up IN ('none', 'latest', 'all')),
  CONSTRAINT schedule_catch_up_has_a_cap    CHECK (catch_up_max BETWEEN 1 AND 1000),
  CONSTRAINT schedule_overlap_is_known      CHECK (overlap IN ('skip', 'queue', 'allow')),
  CONSTRAINT schedule_jitter_is_short       CHECK (jitter_ms BETWEEN 0 AND 86400000),
  CONSTRAINT schedule_paused_is_a_flag      CHECK (paused IN (0, 1)),
  CONSTRAINT schedule_template_is_an_object CHECK (json_valid(template) AND json_type(template) = 'object'),
  CONSTRAINT schedule_times_not_negative    CHECK (decided_until >= 0 AND pruned_until >= 0 AND created_at >= 0)
) STRICT;
-- The worker reads the first row of each.
CREATE INDEX schedule_due     ON schedule (next_at)       WHERE paused = 0;
CREATE INDEX schedule_decided ON schedule (decided_until) WHERE paused = 0;

-- What became of an occurrence: the instant `at` at which a schedule was due. A `fired` row is
-- inserted in one transaction with its job and does not change, so no occurrence is fired twice. A
-- `skipped` row covers `n` adjacent occurrences, from `at` to `last_at`; n = 1001 means more than
-- were counted. (If the clock is set back, skipped occurrences that are now in the future are open
-- again.) `by_hand`: a person asked for the job, and `at` is that instant. `may_live`, of a fired
-- row: its job was not seen to have ended; the planner clears it, and a retry of the job sets it
-- again.
CREATE TABLE occurrence (
  schedule_id INTEGER NOT NULL,
  at          INTEGER NOT NULL,
  last_at     INTEGER NOT NULL,
  n           INTEGER NOT NULL DEFAULT 1,
  state       TEXT    NOT NULL,
  reason      TEXT,
  job_id      INTEGER,
  decided_at  INTEGER NOT NULL,
  by_hand     INTEGER NOT NULL DEFAULT 0,
  may_live    INTEGER NOT NULL DEFAULT 1,
  PRIMARY KEY (schedule_id, at),
  CONSTRAINT occurrence_state_is_known    CHECK (state IN ('fired', 'skipped')),
  CONSTRAINT occurrence_reason_is_known   CHECK (reason IS NULL OR reason IN ('missed', 'paused', 'overlap', 'unique', 'error')),
  CONSTRAINT occurrence_fired_has_its_job CHECK (state <> 'fired' OR (job_id IS NOT NULL AND reason IS NULL AND n = 1 AND last_at = at)),
  CONSTRAINT occurrence_skipped_says_why  CHECK (state <> 'skipped' OR (reason IS NOT NULL AND n >= 1 AND last_at >= at)),
  CONSTRAINT occurrence_has_flags         CHECK (by_hand IN (0, 1) AND may_live IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX occurrence_may_live ON occurrence (schedule_id, job_id) WHERE state = 'fired' AND may_live = 1;
CREATE INDEX occurrence_of_job   ON occurrence (job_id)              WHERE state = 'fired';

-- Inserted by `tenure schedule add`, which checks line, zone and template. REPLACE finds nothing to
-- delete.
CREATE TRIGGER schedule_insert_guard BEFORE INSERT ON schedule BEGIN
  SELECT RAISE(ABORT, 'tenure: use tenure schedule add to make a schedule') WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: the file assigns the id of a schedule; omit it') WHERE NEW.id IS NOT NULL AND NEW.id <> -1;
  SELECT RAISE(ABORT, 'tenure: a schedule of this name exists; use tenure schedule rm to remove it')
   WHERE EXISTS (SELECT 1 FROM schedule WHERE name = NEW.name);
  SELECT RAISE(ABORT, 'tenure: a schedule needs a catch_up of none, latest or all, a cap from 1 to 1000, and a JSON object as its template')
   WHERE NEW.catch_up NOT IN ('none', 'latest', 'all') OR NEW.catch_up_max NOT BETWEEN 1 AND 1000 OR NEW.paused NOT IN (0, 1)
      OR NEW.overlap NOT IN ('skip', 'queue', 'allow') OR NEW.jitter_ms NOT BETWEEN 0 AND 86400000
      OR NOT json_valid(NEW.template) OR json_type(NEW.template) IS NOT 'object';
END;
CREATE TRIGGER schedule_update_guard BEFORE UPDATE ON schedule BEGIN
  SELECT RAISE(ABORT, 'tenure: a schedule keeps its id and its name; use tenure schedule add to make another')
   WHERE (NEW.id, NEW.name) IS NOT (OLD.id, OLD.name);
  SELECT RAISE(ABORT, 'tenure: paused is 0 or 1') WHERE NEW.paused NOT IN (0, 1);
  SELECT RAISE(ABORT,
    'tenure: use tenure schedule set to change a schedule; to pause it UPDATE schedule SET paused = 1')
   WHERE (NEW.cron, NEW.zone, NEW.catch_up, NEW.catch_up_max, NEW.template, NEW.decided_until, NEW.next_at, NEW.pruned_until,
          NEW.created_at, NEW.last_error, NEW.overlap, NEW.jitter_ms, NEW.boot_id)
         IS NOT (OLD.cron, OLD.zone, OLD.catch_up, OLD.catch_up_max, OLD.template, OLD.decided_until, OLD.next_at, OLD.pruned_until,
                 OLD.created_at, OLD.last_error, OLD.overlap, OLD.jitter_ms, OLD.boot_id)
     AND NOT sqlite_compileoption_used('TENURE');
END;
-- Only the worker decides occurrences, and a fired one does not change, except that its job ends or
-- is retried.
CREATE TRIGGER occurrence_insert_guard BEFORE INSERT ON occurrence BEGIN
  SELECT RAISE(ABORT, 'tenure: the worker decides the occurrences of a schedule; to pause it UPDATE schedule SET paused = 1')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: this occurrence is already decided')
   WHERE EXISTS (SELECT 1 FROM occurrence WHERE schedule_id = NEW.schedule_id AND at = NEW.at);
  SELECT RAISE(ABORT, 'tenure: an occurrence is fired, with its job, or skipped, with a reason')
   WHERE NEW.state NOT IN ('fired', 'skipped') OR (NEW.state = 'fired') <> (NEW.reason IS NULL)
      OR (NEW.state = 'fired' AND NEW.job_id IS NULL);
END;
CREATE TRIGGER occurrence_update_guard BEFORE UPDATE ON occurrence BEGIN
  SELECT RAISE(ABORT, 'tenure: the worker decides the occurrences of a schedule; to pause it UPDATE schedule SET paused = 1')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: an occurrence that was fired does not change')
   WHERE OLD.state = 'fired'
     AND (NEW.schedule_id, NEW.at, NEW.last_at, NEW.n, NEW.state, NEW.reason, NEW.job_id, NEW.decided_at, NEW.by_hand)
         IS NOT (OLD.schedule_id, OLD.at, OLD.last_at, OLD.n, OLD.state, OLD.reason, OLD.job_id, OLD.decided_at, OLD.by_hand);
  SELECT RAISE(ABORT, 'tenure: an occurrence keeps its schedule and its instant')
   WHERE (NEW.schedule_id, NEW.at) IS NOT (OLD.schedule_id, OLD.at);
END;

-- A pause begins and ends when a client sets `paused`, by the clock of that client unless it gives
-- another time. If the worker has not yet seen the end of the previous pause, both pauses are one.
CREATE TRIGGER schedule_pauses_or_resumes AFTER UPDATE OF paused ON schedule WHEN OLD.paused <> NEW.paused BEGIN
  UPDATE schedule
     SET paused_at = CASE WHEN OLD.resumed_at > OLD.decided_until THEN OLD.paused_at
                          ELSE CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) END,
         resumed_at = NULL
   WHERE id = NEW.id AND NEW.paused = 1 AND NEW.paused_at IS OLD.paused_at;
  UPDATE schedule SET resumed_at = CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
   WHERE id = NEW.id AND NEW.paused = 0 AND NEW.resumed_at IS OLD.resumed_at;
END;

-- A retried job is a live job of its schedule again.
CREATE TRIGGER occurrence_lives_again AFTER UPDATE OF state ON job
WHEN NEW.state = 'queued' AND OLD.state IN ('failed', 'cancelled') BEGIN
  UPDATE occurrence SET may_live = 1 WHERE job_id = NEW.id AND state = 'fired';
END;

-- Schedules with their next and their latest fired occurrence. (`next_at` NULL: none, or see
-- `last_error`.)
CREATE VIEW schedules AS
  SELECT s.id, s.name, s.cron, s.zone, s.catch_up, s.catch_up_max, s.overlap, s.jitter_ms, s.paused, s.paused_at,
         CASE WHEN s.paused = 0 THEN s.next_at END AS next_at,
         (SELECT max(at) FROM occurrence WHERE schedule_id = s.id AND state = 'fired') AS last_at,
         (SELECT job_id FROM occurrence WHERE schedule_id = s.id AND state = 'fired' ORDER BY at DESC LIMIT 1) AS last_job,
         s.created_at, s.last_error
    FROM schedule s;

----------------------------------------------------------------------------------------------------
-- Pipelines and tasks

-- A pipeline: named stages, each with the description of a job and its transitions (`spec`: JSON
-- object: start, max_rounds, params, stages). An applied revision does not change; a change is a
-- new revision, and a task keeps the revision that it was started with.
CREATE TABLE pipeline (
  id         INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  name       TEXT    NOT NULL,
  revision   INTEGER NOT NULL,
  spec       TEXT    NOT NULL,
  applied_at INTEGER NOT NULL,
  CONSTRAINT pipeline_name_is_short     CHECK (length(name) BETWEEN 1 AND 200),
  CONSTRAINT pipeline_revision_positive CHECK (revision > 0),
  CONSTRAINT pipeline_spec_is_an_object CHECK (json_valid(spec) AND json_type(spec) = 'object')
) STRICT;
CREATE UNIQUE INDEX pipeline_revision ON pipeline (name, revision);

-- A task: one pass through a pipeline. `stage` and `job_id` are its position; the end of that job
-- advances the task, in the same transaction. `job_id` is NULL only within that transaction. `key`:
-- at most one running task of a pipeline has it, not counting tasks with a stop request. `stop_at`:
-- a client requested a stop, and no further job of the task starts.
CREATE TABLE task (
  id          INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  pipeline_id INTEGER NOT NULL,
  pipeline    TEXT    NOT NULL,
  key         TEXT,
  state       TEXT    NOT NULL DEFAULT 'running',
  stage       TEXT    NOT NULL,
  job_id      INTEGER,
  params      TEXT    NOT NULL DEFAULT '{}',
  error       TEXT,
  created_at  INTEGER NOT NULL,
  finished_at INTEGER,
  stop_at     INTEGER,
  stop_why    TEXT,
  held        INTEGER NOT NULL DEFAULT 0,
  CONSTRAINT task_state_is_known    CHECK (state IN ('running', 'done', 'failed', 'cancelled')),
  CONSTRAINT task_ended_says_when   CHECK ((state = 'running') = (finished_at IS NULL)),
  CONSTRAINT task_names_are_short   CHECK (length(pipeline) BETWEEN 1 AND 200 AND length(stage) BETWEEN 1 AND 200
                                           AND (key IS NULL OR length(key) BETWEEN 1 AND 1000)),
  CONSTRAINT task_params_are_object CHECK (json_valid(params) AND json_type(params) = 'object'),
  CONSTRAINT task_held_is_a_flag    CHECK (held IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX task_key ON task (pipeline, key) WHERE key IS NOT NULL AND state = 'running' AND stop_at IS NULL;
CREATE INDEX task_live       ON task (id)            WHERE state = 'running';
CREATE INDEX task_ended      ON task (finished_at)   WHERE state <> 'running';
CREATE INDEX task_revision   ON task (pipeline_id);

-- Each stage that a task has entered, in order, with its job: the history of the task.
CREATE TABLE task_step (
  task_id    INTEGER NOT NULL,
  seq        INTEGER NOT NULL,
  stage      TEXT    NOT NULL,
  job_id     INTEGER NOT NULL,
  entered_at INTEGER NOT NULL,
  ended_at   INTEGER,
  outcome    TEXT,
  PRIMARY KEY (task_id, seq),
  CONSTRAINT task_step_seq_positive     CHECK (seq > 0),
  CONSTRAINT task_step_outcome_is_known CHECK (outcome IS NULL OR outcome IN ('done', 'failed', 'cancelled', 'advanced', 'lost')),
  CONSTRAINT task_step_ended_says_how   CHECK ((ended_at IS NULL) = (outcome IS NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX task_step_of_job ON task_step (job_id);
CREATE UNIQUE INDEX task_step_open   ON task_step (task_id) WHERE ended_at IS NULL;

-- An applied revision does not change, and is kept while a task uses it.
CREATE TRIGGER pipeline_insert_guard BEFORE INSERT ON pipeline BEGIN
  SELECT RAISE(ABORT, 'tenure: use tenure pipeline apply to make a pipeline') WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: this revision of the pipeline exists already')
   WHERE EXISTS (SELECT 1 FROM pipeline WHERE id = NEW.id OR (name = NEW.name AND revision = NEW.revision));
END;
CREATE TRIGGER pipeline_delete_guard BEFORE DELETE ON pipeline BEGIN
  SELECT RAISE(ABORT, 'tenure: a revision of a pipeline is removed with its last task; use tenure pipeline apply to make a new one')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: a task uses this revision') WHERE EXISTS (SELECT 1 FROM task WHERE pipeline_id = OLD.id);
END;
-- A new task is running and has no job yet; one running task has the key; and REPLACE finds nothing
-- to delete.
CREATE TRIGGER task_insert_guard BEFORE INSERT ON task BEGIN
  SELECT RAISE(ABORT, 'tenure: use tenure task start to make a task') WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: the file assigns the id of a task; omit it') WHERE NEW.id IS NOT NULL AND NEW.id <> -1;
  SELECT RAISE(ABORT, 'tenure: a new task is running and has no job')
   WHERE NEW.state IS NOT 'running' OR coalesce(NEW.job_id, NEW.finished_at, NEW.stop_at) IS NOT NULL;
  SELECT RAISE(ABORT, 'tenure: a running task of this pipeline has this key')
   WHERE NEW.key IS NOT NULL
     AND EXISTS (SELECT 1 FROM task WHERE pipeline = NEW.pipeline AND key = NEW.key AND state = 'running' AND stop_at IS NULL);
  SELECT RAISE(ABORT, 'tenure: params must be a JSON object') WHERE NOT json_valid(NEW.params) OR json_type(NEW.params) IS NOT 'object';
END;
-- A task advances while it is running, and keeps its parameters. Only a retry changes an ended one,
-- and withdraws its stop request.
CREATE TRIGGER task_update_guard BEFORE UPDATE ON task BEGIN
  SELECT RAISE(ABORT, 'tenure: use tenure task stop, hold, release, advance or retry to change a task')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: an ended task does not change; use tenure task retry to continue it')
   WHERE OLD.state <> 'running' AND NOT (NEW.state = 'running' AND OLD.state IN ('failed', 'cancelled'));
  SELECT RAISE(ABORT, 'tenure: a task is running, done, failed or cancelled')
   WHERE NEW.state NOT IN ('running', 'done', 'failed', 'cancelled') OR (NEW.state = 'running') <> (NEW.finished_at IS NULL);
  SELECT RAISE(ABORT, 'tenure: a task keeps its id, its pipeline, its key and its parameters')
   WHERE (NEW.id, NEW.pipeline_id, NEW.pipeline, NEW.key, NEW.params, NEW.created_at)
         IS NOT (OLD.id, OLD.pipeline_id, OLD.pipeline, OLD.key, OLD.params, OLD.created_at);
  SELECT RAISE(ABORT, 'tenure: a task with a stop request enters no stage and ends as cancelled')
   WHERE OLD.stop_at IS NOT NULL AND OLD.state = 'running'
     AND (NEW.stop_at IS NULL OR NEW.stage IS NOT OLD.stage OR NEW.state IN ('done', 'failed'));
END;
CREATE TRIGGER task_delete_guard BEFORE DELETE ON task BEGIN
  SELECT RAISE(ABORT, 'tenure: use tenure task stop to end a task, and tenure prune to remove ended tasks')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: the task is running; use tenure task stop first') WHERE OLD.state = 'running';
END;
-- A step is opened and closed once. A job is a step of one task only.
CREATE TRIGGER task_step_insert_guard BEFORE INSERT ON task_step BEGIN
  SELECT RAISE(ABORT, 'tenure: the worker writes the steps of a task; use tenure task advance to move it')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: a task is in one stage at a time')
   WHERE EXISTS (SELECT 1 FROM task_step WHERE task_id = NEW.task_id AND (seq = NEW.seq OR ended_at IS NULL))
      OR EXISTS (SELECT 1 FROM task_step WHERE job_id = NEW.job_id);
END;
CREATE TRIGGER task_step_update_guard BEFORE UPDATE ON task_step BEGIN
  SELECT RAISE(ABORT, 'tenure: the worker writes the steps of a task; use tenure task advance to move it')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: an ended step does not change')
   WHERE OLD.ended_at IS NOT NULL
      OR (NEW.task_id, NEW.seq, NEW.stage, NEW.job_id, NEW.entered_at) IS NOT (OLD.task_id, OLD.seq, OLD.stage, OLD.job_id, OLD.entered_at);
END;
CREATE TRIGGER task_step_delete_guard BEFORE DELETE ON task_step BEGIN
  SELECT RAISE(ABORT, 'tenure: steps are removed with their task; use tenure prune to remove ended tasks')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: the steps of a running task cannot be removed')
   WHERE EXISTS (SELECT 1 FROM task WHERE id = OLD.task_id AND state = 'running');
END;

-- Effects of a change of a task: it is counted, its resources are released when it ends, and the
-- history of its current job records it.
CREATE TRIGGER task_enters AFTER INSERT ON task BEGIN
  INSERT INTO counter (name, n) VALUES ('tasks_' || NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER task_changes AFTER UPDATE OF state, stop_at, held ON task BEGIN
  INSERT INTO counter (name, n) SELECT 'tasks_' || OLD.state, -1 WHERE OLD.state IS NOT NEW.state ON CONFLICT DO UPDATE SET n = n - 1;
  INSERT INTO counter (name, n) SELECT 'tasks_' || NEW.state, 1 WHERE OLD.state IS NOT NEW.state ON CONFLICT DO UPDATE SET n = n + 1;
  UPDATE resource SET state = 'releasing' WHERE task_id = NEW.id AND state = 'held' AND OLD.state = 'running' AND NEW.state <> 'running';
  INSERT INTO event (job_id, kind, detail, at)
    SELECT NEW.job_id, 'task_stop_asked', NEW.stop_why, NEW.stop_at
     WHERE OLD.stop_at IS NULL AND NEW.stop_at IS NOT NULL AND NEW.job_id IS NOT NULL;
  INSERT INTO event (job_id, kind)
    SELECT NEW.job_id, CASE WHEN NEW.held THEN 'task_held' ELSE 'task_released' END
     WHERE OLD.held IS NOT NEW.held AND NEW.job_id IS NOT NULL;
END;
CREATE TRIGGER task_leaves AFTER DELETE ON task BEGIN
  INSERT INTO counter (name, n) VALUES ('tasks_' || OLD.state, -1) ON CONFLICT DO UPDATE SET n = n - 1;
END;
CREATE TRIGGER task_step_is_an_event AFTER INSERT ON task_step BEGIN
  INSERT INTO event (job_id, kind, detail, at)
    SELECT NEW.job_id, 'stage_entered',
           'stage ' || NEW.stage || ' of task ' || NEW.task_id || ' (pipeline ' || pipeline || ')', NEW.entered_at
      FROM task WHERE id = NEW.task_id;
END;
CREATE TRIGGER task_step_end_is_an_event AFTER UPDATE OF outcome ON task_step WHEN NEW.outcome = 'advanced' BEGIN
  INSERT INTO event (job_id, kind, detail, at)
    VALUES (NEW.job_id, 'stage_left', 'task ' || NEW.task_id || ' was advanced out of stage ' || NEW.stage, NEW.ended_at);
END;

CREATE VIEW tasks AS
  SELECT id, pipeline, key, state, stage, job_id, params, error, created_at, finished_at, stop_at IS NOT NULL AS stopping, stop_why, held
    FROM task;
CREATE VIEW task_steps AS
  SELECT task_id, seq, stage, job_id, entered_at, ended_at, outcome FROM task_step;

----------------------------------------------------------------------------------------------------
-- Hooks: commands that tell of the end of a job

-- A rule of the configuration: a hook for the jobs of all or some queues. `tenure work` stores
-- those of its configuration when it starts, so that an end that another client records is told
-- too.
--   event    on_failure: of a job that failed; on_success: of one that is done; on_end: of any
--   command  JSON array of strings
--   queue    GLOB pattern; NULL: all queues
--   label    GLOB pattern; NULL: also jobs without a label
--   reasons  JSON array of end reasons; NULL: all
CREATE TABLE hook_rule (
  name    TEXT NOT NULL,
  event   TEXT NOT NULL,
  command TEXT NOT NULL,
  queue   TEXT,
  label   TEXT,
  reasons TEXT,
  PRIMARY KEY (name, event),
  CONSTRAINT hook_rule_event_is_known     CHECK (event IN ('on_failure', 'on_success', 'on_end')),
  CONSTRAINT hook_rule_command_is_an_argv CHECK (json_valid(command) AND json_type(command) = 'array'),
  CONSTRAINT hook_rule_reasons_are_a_list CHECK (reasons IS NULL OR (json_valid(reasons) AND json_type(reasons) = 'array'))
) STRICT, WITHOUT ROWID;

-- A hook that is to run, or has run: it is inserted in the transaction that ends its job, and
-- repeats that end, as a job can be retried before its hook runs. It is run until it exits with 0
-- (`outcome` done) or has failed too often (`given_up`), so it runs at least once.
--   rule              the rule of the configuration; NULL: the hook of the job, or of its task
--   task_id           it tells the end of this task, whose last job is `job_id`; NULL: of the job
--   run_id            the run that ended the job; NULL: it never ran
--   auxiliary_run_id  the run of the hook that is in progress
--   attempts          failed attempts
--   next_at           the next attempt is not before this instant
CREATE TABLE hook (
  id               INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  job_id           INTEGER NOT NULL,
  task_id          INTEGER,
  rule             TEXT,
  event            TEXT    NOT NULL,
  command          TEXT    NOT NULL,
  state            TEXT    NOT NULL,
  reason           TEXT,
  run_id           INTEGER,
  exit_code        INTEGER,
  signal           INTEGER,
  error            TEXT,
  ended_at         INTEGER NOT NULL,
  auxiliary_run_id INTEGER,
  attempts         INTEGER NOT NULL DEFAULT 0,
  next_at          INTEGER NOT NULL DEFAULT 0,
  last_error       TEXT,
  outcome          TEXT,
  closed_at        INTEGER,
  CONSTRAINT hook_event_is_known   CHECK (event IN ('on_failure', 'on_success', 'on_end')),
  CONSTRAINT hook_outcome_is_known CHECK (outcome IS NULL OR outcome IN ('done', 'given_up')),
  CONSTRAINT hook_closed_says_how  CHECK ((closed_at IS NULL) = (outcome IS NULL) AND (outcome IS NULL OR auxiliary_run_id IS NULL)),
  CONSTRAINT hook_counts_positive  CHECK (attempts >= 0 AND next_at >= 0)
) STRICT;
-- What to run next; the hooks of a job; hooks in progress.
CREATE INDEX hook_due      ON hook (next_at, id)      WHERE outcome IS NULL AND auxiliary_run_id IS NULL;
CREATE INDEX hook_of_job   ON hook (job_id, id);
CREATE INDEX hook_runs     ON hook (auxiliary_run_id) WHERE auxiliary_run_id IS NOT NULL;

CREATE TRIGGER hook_update_guard BEFORE UPDATE ON hook BEGIN
  SELECT RAISE(ABORT, 'tenure: the worker writes the rows of hook; use tenure add --on-end COMMAND to give a job a hook')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: a hook that has ended does not change') WHERE OLD.outcome IS NOT NULL;
  SELECT RAISE(ABORT, 'tenure: a hook keeps its id, its job and its command')
   WHERE (NEW.id, NEW.job_id, NEW.command) IS NOT (OLD.id, OLD.job_id, OLD.command);
END;

-- The hooks of an end: those of the job, and those of the rules that match it. (Both conditions are
-- false for most jobs. A policy that is not JSON has no hooks.)
CREATE TRIGGER job_end_has_hooks AFTER UPDATE OF state ON job
WHEN OLD.state IN ('queued', 'running') AND NEW.state NOT IN ('queued', 'running') AND NEW.fault IS NULL
 AND (CASE WHEN NEW.policy = '{}' THEN 0 WHEN json_valid(NEW.policy) THEN json_type(NEW.policy, '$.hooks') IS NOT NULL ELSE 0 END
      OR EXISTS (SELECT 1 FROM hook_rule)) BEGIN
  INSERT INTO hook (job_id, rule, event, command, state, reason, run_id, exit_code, signal, error, ended_at)
    SELECT NEW.id, rule, event, command, NEW.state, NEW.reason, NEW.run_id, NEW.exit_code, NEW.signal, NEW.error, NEW.finished_at
      FROM (SELECT NULL AS rule, key AS event, value AS command
              FROM json_each(CASE WHEN json_valid(NEW.policy) THEN NEW.policy ELSE '{}' END, '$.hooks')
             WHERE type = 'array' AND key IN ('on_failure', 'on_success', 'on_end')
            UNION ALL
            SELECT name, event, command FROM hook_rule
             WHERE (queue IS NULL OR NEW.queue GLOB queue) AND (label IS NULL OR coalesce(NEW.label GLOB label, 0))
               AND (reasons IS NULL OR EXISTS (SELECT 1 FROM json_each(reasons) WHERE value = NEW.reason)))
     WHERE event = 'on_end' OR event = CASE NEW.state WHEN 'done' THEN 'on_success' WHEN 'failed' THEN 'on_failure' END;
END;

-- The hooks of a pipeline tell the end of its tasks.
CREATE TRIGGER task_end_has_hooks AFTER UPDATE OF state ON task
WHEN OLD.state = 'running' AND NEW.state <> 'running'
 AND EXISTS (SELECT 1 FROM pipeline
              WHERE id = NEW.pipeline_id AND CASE WHEN json_valid(spec) THEN json_type(spec, '$.hooks') END IS NOT NULL) BEGIN
  INSERT INTO hook (job_id, task_id, event, command, state, reason, run_id, exit_code, signal, error, ended_at)
    SELECT j.id, NEW.id, h.key, h.value, NEW.state, j.reason, j.run_id, j.exit_code, j.signal, NEW.error, NEW.finished_at
      FROM pipeline p
      JOIN json_each(p.spec, '$.hooks') h
      JOIN job j ON j.id = coalesce(NEW.job_id, (SELECT job_id FROM task_step WHERE task_id = NEW.id ORDER BY seq DESC LIMIT 1))
     WHERE p.id = NEW.pipeline_id
       AND (h.key = 'on_end' OR h.key = CASE NEW.state WHEN 'done' THEN 'on_success' WHEN 'failed' THEN 'on_failure' END);
END;

----------------------------------------------------------------------------------------------------
-- Receipts

-- A request to add jobs that a client has handed to the worker over its socket, written in the
-- transaction that adds them. A client whose answer was lost finds its jobs by it; if there is
-- none, the client adds the jobs itself with this row, and the worker, if it comes late, adds
-- nothing. `sent` is the client's clock of the boot in milliseconds, `token` 16 random bytes of the
-- client, and `answer` is JSON; an answer without jobs: the client was refused. Removed after five
-- minutes.
CREATE TABLE receipt (
  sent   INTEGER NOT NULL,
  token  BLOB    NOT NULL,
  answer TEXT    NOT NULL,
  PRIMARY KEY (sent, token),
  CONSTRAINT receipt_token_has_16_bytes  CHECK (length(token) = 16),
  CONSTRAINT receipt_answer_is_an_object CHECK (json_valid(answer) AND json_type(answer) = 'object')
) STRICT, WITHOUT ROWID;

----------------------------------------------------------------------------------------------------
-- Guards of tables that need no other guard: what only tenure may do, and what no client may do

CREATE TRIGGER meta_insert_guard BEFORE INSERT ON meta WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: meta is written by tenure alone; do not change it');
END;
CREATE TRIGGER meta_update_guard BEFORE UPDATE ON meta WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: meta is written by tenure alone; do not change it');
END;
CREATE TRIGGER meta_delete_guard BEFORE DELETE ON meta WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: meta is written by tenure alone; do not change it');
END;
CREATE TRIGGER counter_insert_guard BEFORE INSERT ON counter WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: counter is written by the worker alone; do not change it');
END;
CREATE TRIGGER counter_update_guard BEFORE UPDATE ON counter WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: counter is written by the worker alone; do not change it');
END;
CREATE TRIGGER counter_delete_guard BEFORE DELETE ON counter WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: counter is written by the worker alone; do not change it');
END;
CREATE TRIGGER unresolved_insert_guard BEFORE INSERT ON unresolved WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: unresolved is written by tenure alone; do not change it');
END;
CREATE TRIGGER unresolved_delete_guard BEFORE DELETE ON unresolved WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: unresolved is written by tenure alone; do not change it');
END;
CREATE TRIGGER receipt_insert_guard BEFORE INSERT ON receipt WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: receipt is written by tenure alone; do not change it');
END;
CREATE TRIGGER receipt_update_guard BEFORE UPDATE ON receipt WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: receipt is written by tenure alone; do not change it');
END;
CREATE TRIGGER receipt_delete_guard BEFORE DELETE ON receipt WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: receipt is written by tenure alone; do not change it');
END;
CREATE TRIGGER hook_rule_insert_guard BEFORE INSERT ON hook_rule WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: hook_rule is written by the worker alone; do not change it, set [hooks] in the configuration');
END;
CREATE TRIGGER hook_rule_update_guard BEFORE UPDATE ON hook_rule WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: hook_rule is written by the worker alone; do not change it, set [hooks] in the configuration');
END;
CREATE TRIGGER hook_rule_delete_guard BEFORE DELETE ON hook_rule WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: hook_rule is written by the worker alone; do not change it, set [hooks] in the configuration');
END;
CREATE TRIGGER hook_insert_guard BEFORE INSERT ON hook WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: the worker writes the rows of hook; use tenure add --on-end COMMAND to give a job a hook');
END;
CREATE TRIGGER hook_delete_guard BEFORE DELETE ON hook WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: hooks are removed with their job; use tenure prune to remove ended jobs');
END;
CREATE TRIGGER dependency_delete_guard BEFORE DELETE ON dependency WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: a dependency cannot be removed; INSERT INTO cancel (job_id) for the waiting job, and queue another one');
END;
CREATE TRIGGER cancel_update_guard BEFORE UPDATE ON cancel WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: a stop request does not change; use tenure retry once the job has ended');
END;
CREATE TRIGGER cancel_delete_guard BEFORE DELETE ON cancel WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: a stop request cannot be withdrawn; use tenure retry once the job has ended');
END;
CREATE TRIGGER suspend_delete_guard BEFORE DELETE ON suspend WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: a suspension is removed with its job; use tenure prune to remove ended jobs');
END;
CREATE TRIGGER event_delete_guard BEFORE DELETE ON event WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: history is removed with its job; use tenure prune to remove ended jobs');
END;
CREATE TRIGGER queue_delete_guard BEFORE DELETE ON queue WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: use tenure queue rm to remove a queue that no live job names');
END;
CREATE TRIGGER lane_delete_guard BEFORE DELETE ON lane WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: use tenure lane rm to remove a lane that no job names');
END;
CREATE TRIGGER pool_delete_guard BEFORE DELETE ON pool WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: use tenure pool rm to remove a pool that no live job uses');
END;
CREATE TRIGGER run_delete_guard BEFORE DELETE ON run WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: a run is removed with its job; use tenure prune to remove ended jobs');
END;
CREATE TRIGGER lease_delete_guard BEFORE DELETE ON lease WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: use tenure lease release to free a lease');
END;
CREATE TRIGGER workspace_delete_guard BEFORE DELETE ON workspace WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: use tenure workspace rm to remove a workspace');
END;
CREATE TRIGGER schedule_delete_guard BEFORE DELETE ON schedule WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: use tenure schedule rm to remove a schedule; to pause it UPDATE schedule SET paused = 1');
END;
CREATE TRIGGER occurrence_delete_guard BEFORE DELETE ON occurrence WHEN NOT sqlite_compileoption_used('TENURE') BEGIN
  SELECT RAISE(ABORT, 'tenure: the worker decides the occurrences of a schedule; to pause it UPDATE schedule SET paused = 1');
END;
CREATE TRIGGER unresolved_update_guard BEFORE UPDATE ON unresolved BEGIN
  SELECT RAISE(ABORT, 'tenure: unresolved is written by tenure alone; do not change it');
END;
CREATE TRIGGER event_update_guard BEFORE UPDATE ON event BEGIN
  SELECT RAISE(ABORT, 'tenure: events do not change');
END;
CREATE TRIGGER lease_update_guard BEFORE UPDATE ON lease BEGIN
  SELECT RAISE(ABORT, 'tenure: a lease cannot be updated; release it and acquire it again');
END;
CREATE TRIGGER pipeline_update_guard BEFORE UPDATE ON pipeline BEGIN
  SELECT RAISE(ABORT, 'tenure: a revision of a pipeline does not change; use tenure pipeline apply to make a new one');
END;
