PRAGMA application_id = 1413828181;
PRAGMA user_version = 1;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES('created_at','1795722286696');
INSERT INTO meta VALUES('file_id','c56319acf8ec0015b2f807ce72c10c75');
INSERT INTO meta VALUES('generation','1');
INSERT INTO meta VALUES('run_id_limit','13');
CREATE TABLE queue (
  name           TEXT PRIMARY KEY,
  slots          INTEGER,
  paused         INTEGER NOT NULL DEFAULT 0,
  max_runtime_ms INTEGER,
  CONSTRAINT queue_name_is_short       CHECK (length(name) BETWEEN 1 AND 200),
  CONSTRAINT queue_slots_not_negative  CHECK (slots IS NULL OR slots >= 0),
  CONSTRAINT queue_paused_is_a_flag    CHECK (paused IN (0, 1)),
  CONSTRAINT queue_max_runtime_positive CHECK (max_runtime_ms IS NULL OR max_runtime_ms > 0)
) STRICT, WITHOUT ROWID;
INSERT INTO queue VALUES('default',NULL,0,NULL);
INSERT INTO queue VALUES('night',NULL,0,NULL);
INSERT INTO queue VALUES('slow',NULL,1,NULL);
CREATE TABLE lane (
  key         TEXT PRIMARY KEY,
  max_running INTEGER NOT NULL DEFAULT 1,
  running     INTEGER NOT NULL DEFAULT 0,
  of_array    INTEGER NOT NULL DEFAULT 0,
  CONSTRAINT lane_key_is_short          CHECK (length(key) BETWEEN 1 AND 200),
  CONSTRAINT lane_max_running_positive  CHECK (max_running >= 1),
  CONSTRAINT lane_running_not_negative  CHECK (running >= 0),
  CONSTRAINT lane_of_array_is_a_flag    CHECK (of_array IN (0, 1))
) STRICT, WITHOUT ROWID;
INSERT INTO lane VALUES('db',2,0,0);
CREATE TABLE job (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  command       TEXT    NOT NULL,                     -- JSON array of strings; {"hex": "ff00"} for one that is not UTF-8
  state         TEXT    NOT NULL DEFAULT 'queued',
  hold          TEXT    GENERATED ALWAYS AS (
                  CASE WHEN state <> 'queued'                       THEN NULL
                       WHEN user_hold                               THEN 'user'
                       WHEN task_hold                               THEN 'task'
                       WHEN unmet + broken > 0                      THEN 'dependency'
                       WHEN untorn > 0                              THEN 'resource'
                       WHEN available_at > due_seen                 THEN 'time'
                       WHEN lane IS NOT NULL AND NOT lane_pass      THEN 'lane'
                  END) VIRTUAL,
  reason        TEXT,                                 -- why it ended; NULL while it has not
  queue         TEXT    NOT NULL DEFAULT 'default',
  lane          TEXT,
  priority      INTEGER NOT NULL DEFAULT 0,           -- higher first
  label         TEXT,
  cwd           TEXT    NOT NULL DEFAULT '/',
  available_at  INTEGER NOT NULL DEFAULT 0,           -- not before this instant
  run_id        INTEGER,                              -- the run that owns it (running) or ended it (terminal)
  pid           INTEGER,                              -- first process of a running job; for showing, never proof
  started_at    INTEGER,
  finished_at   INTEGER,
  attempts      INTEGER NOT NULL DEFAULT 0,           -- runs that count, the present one included
  max_attempts  INTEGER NOT NULL DEFAULT 1,

  created_at    INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
  expires_at    INTEGER,                              -- a job that has not started by then ends as failed, `expired`
  unique_key    TEXT,                                 -- at most one live job has it
  array_index   INTEGER,
  env           TEXT    NOT NULL DEFAULT '{}',        -- JSON object of strings
  policy        TEXT    NOT NULL DEFAULT '{}',        -- JSON object: timeouts, retry rules, limits (docs/sql.md)

  deferrals     INTEGER NOT NULL DEFAULT 0,           -- exits with 75, "not now"
  unstarts      INTEGER NOT NULL DEFAULT 0,           -- times in a row it was put back without having started
  last_reason   TEXT,                                 -- reason of the latest run that ended
  exit_code     INTEGER,
  signal        INTEGER,
  error         TEXT,
  progress      TEXT,                                 -- JSON object: percent, text, at
  result        TEXT,                                 -- what the job wrote to TENURE_RESULT, at most 64 KiB

  user_hold     INTEGER NOT NULL DEFAULT 0,           -- held by a person
  task_id       INTEGER,                              -- the pipeline task it belongs to
  task_hold     INTEGER NOT NULL DEFAULT 0,           -- held by its task
  unmet         INTEGER NOT NULL DEFAULT 0,           -- dependencies that are not met yet
  broken        INTEGER NOT NULL DEFAULT 0,           -- dependencies that can not be met any more
  untorn        INTEGER NOT NULL DEFAULT 0,           -- resources of its earlier runs that are not torn down yet
  due_seen      INTEGER NOT NULL DEFAULT 0,           -- the latest instant that the planner has seen pass for this job
  lane_pass     INTEGER NOT NULL DEFAULT 0,           -- its lane lets it stand at the head of its queue

  CONSTRAINT job_id_positive           CHECK (id > 0),
  CONSTRAINT job_state_is_known        CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
  CONSTRAINT job_reason_is_known       CHECK (reason IS NULL OR reason IN ('exit', 'signal', 'timeout', 'output', 'memory', 'cancelled',
                                              'shutdown', 'spawn', 'lost', 'check', 'dependency', 'workspace', 'expired')),
  CONSTRAINT job_queued_owns_nothing   CHECK (state <> 'queued' OR (run_id IS NULL AND pid IS NULL AND started_at IS NULL
                                              AND finished_at IS NULL AND reason IS NULL)),
  CONSTRAINT job_running_has_its_run   CHECK (state <> 'running' OR (run_id IS NOT NULL AND started_at IS NOT NULL
                                              AND finished_at IS NULL AND reason IS NULL)),
  CONSTRAINT job_ended_says_why        CHECK (state IN ('queued', 'running') OR (reason IS NOT NULL AND finished_at IS NOT NULL AND pid IS NULL)),
  CONSTRAINT job_done_means_exit_zero  CHECK (state <> 'done' OR (reason = 'exit' AND exit_code IS 0)),
  CONSTRAINT job_pid_positive          CHECK (pid IS NULL OR pid > 0),
  CONSTRAINT job_command_is_an_argv    CHECK (json_valid(command) AND json_type(command) = 'array' AND json_array_length(command) > 0),
  CONSTRAINT job_env_is_an_object      CHECK (json_valid(env) AND json_type(env) = 'object'),
  CONSTRAINT job_policy_is_an_object   CHECK (json_valid(policy) AND json_type(policy) = 'object'),
  CONSTRAINT job_max_attempts_positive CHECK (max_attempts BETWEEN 1 AND 1000000),
  CONSTRAINT job_counts_not_negative   CHECK (attempts >= 0 AND deferrals >= 0 AND unstarts >= 0 AND unmet >= 0 AND broken >= 0
                                              AND untorn >= 0),
  CONSTRAINT job_flags_are_flags       CHECK (user_hold IN (0, 1) AND task_hold IN (0, 1) AND lane_pass IN (0, 1)),
  CONSTRAINT job_times_not_negative    CHECK (available_at >= 0 AND due_seen >= 0 AND created_at >= 0),
  CONSTRAINT job_names_are_short       CHECK (length(queue) BETWEEN 1 AND 200 AND (lane IS NULL OR length(lane) BETWEEN 1 AND 200)
                                              AND (label IS NULL OR length(label) <= 1000) AND (unique_key IS NULL OR length(unique_key) BETWEEN 1 AND 1000)),
  CONSTRAINT job_result_is_small       CHECK (result IS NULL OR length(CAST(result AS BLOB)) <= 65536)
) STRICT;
INSERT INTO job VALUES(1,'["true"]','done','exit','default',NULL,0,'ok','/',0,1,NULL,1795722287867,1795722287874,1,1,1795722286782,NULL,NULL,NULL,'{}','{}',0,0,'exit',0,NULL,NULL,NULL,NULL,0,NULL,0,0,0,0,0,0);
INSERT INTO job VALUES(2,'["false"]','failed','exit','default',NULL,0,'bad','/',0,2,NULL,1795722287872,1795722287884,1,1,1795722286954,NULL,NULL,NULL,'{}','{}',0,0,'exit',1,NULL,'exit status 1',NULL,NULL,0,NULL,0,0,0,0,0,0);
INSERT INTO job VALUES(3,'["true"]','done','exit','default',NULL,0,'ship/build','/',0,3,NULL,1795722287900,1795722287912,1,1,1795722287319,NULL,NULL,NULL,'{"TENURE_PARAM_version":"1","TENURE_STAGE":"build","TENURE_TASK":"1"}','{}',0,0,'exit',0,NULL,NULL,NULL,NULL,0,1,0,0,0,0,0,0);
INSERT INTO job VALUES(4,'["true"]','done','exit','default',NULL,0,'ship/test','/',0,4,NULL,1795722287960,1795722287980,1,1,1795722287912,NULL,NULL,NULL,'{"TENURE_PARAM_version":"1","TENURE_STAGE":"test","TENURE_TASK":"1"}','{}',0,0,'exit',0,NULL,NULL,NULL,NULL,0,1,0,0,0,0,0,0);
INSERT INTO job VALUES(5,'["true","1"]','done','exit','default',NULL,0,'ship/publish','/',0,5,NULL,1795722288011,1795722288030,1,1,1795722287980,NULL,NULL,NULL,'{"TENURE_PARAM_version":"1","TENURE_STAGE":"publish","TENURE_TASK":"1"}','{}',0,0,'exit',0,NULL,NULL,NULL,NULL,0,1,0,0,0,0,0,0);
INSERT INTO job VALUES(6,'["true"]','queued',NULL,'default',NULL,0,'ship/build','/',0,NULL,NULL,NULL,NULL,0,1,1795722288240,NULL,NULL,NULL,'{"TENURE_PARAM_version":"2","TENURE_STAGE":"build","TENURE_TASK":"2"}','{}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,2,0,0,0,0,0,0);
INSERT INTO job VALUES(7,'["echo","first in lane"]','queued',NULL,'default','db',0,'first','/',0,NULL,NULL,NULL,NULL,0,1,1795722288324,NULL,'k1',NULL,'{}','{}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,0,0,0,0,0,1);
INSERT INTO job VALUES(8,'["echo","second"]','queued',NULL,'default','db',0,NULL,'/',0,NULL,NULL,NULL,NULL,0,1,1795722288458,NULL,NULL,NULL,'{}','{}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,0,1,0,0,0,0);
INSERT INTO job VALUES(9,'["sh","-c","echo $A"]','queued',NULL,'default',NULL,0,NULL,'/',0,NULL,NULL,NULL,NULL,0,3,1795722288545,NULL,NULL,NULL,'{"A":"b"}','{"timeout_ms":3600000}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,0,0,0,0,0,0);
INSERT INTO job VALUES(10,'["true"]','queued',NULL,'default',NULL,0,NULL,'/',0,NULL,NULL,NULL,NULL,0,1,1795722288685,NULL,NULL,NULL,'{}','{}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,0,0,0,0,0,0);
INSERT INTO job VALUES(11,'["true"]','queued',NULL,'default',NULL,0,NULL,'/',1893456000000,NULL,NULL,NULL,NULL,0,1,1795722288770,NULL,NULL,NULL,'{}','{}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,0,0,0,0,0,0);
INSERT INTO job VALUES(12,'["true"]','cancelled','cancelled','night',NULL,0,NULL,'/',0,NULL,NULL,NULL,1795722288975,0,1,1795722288875,NULL,NULL,NULL,'{}','{}',0,0,NULL,NULL,NULL,'cancelled before it started',NULL,NULL,0,NULL,0,0,0,0,0,0);
INSERT INTO job VALUES(13,'["true"]','queued',NULL,'slow',NULL,0,NULL,'/',0,NULL,NULL,NULL,NULL,0,1,1795722289194,NULL,NULL,NULL,'{}','{}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,0,0,0,0,0,0);
INSERT INTO job VALUES(14,'["sleep","300"]','cancelled','cancelled','default',NULL,0,NULL,'/',0,NULL,NULL,NULL,1795722298686,0,1,1795722289831,NULL,NULL,NULL,'{}','{}',0,0,NULL,NULL,NULL,'cancelled before it started',NULL,NULL,0,NULL,0,0,0,0,0,0);
CREATE TABLE run (
  id            INTEGER PRIMARY KEY,
  job_id        INTEGER,
  kind          TEXT    NOT NULL DEFAULT 'job',
  parent        INTEGER,
  resource_id   INTEGER,
  workspace     TEXT,
  attempt       INTEGER NOT NULL,
  nonce         TEXT    NOT NULL,
  instance      TEXT    NOT NULL,                     -- the worker that claimed it
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
  leftovers     TEXT,                                 -- processes that outlived the job's own and were ended with it
  max_rss_bytes INTEGER,
  user_ms       INTEGER,
  system_ms     INTEGER,
  adopted       INTEGER NOT NULL DEFAULT 0,           -- how many later workers have taken it over
  CONSTRAINT run_id_positive      CHECK (id BETWEEN 1 AND 4503599627370496),
  CONSTRAINT run_kind_is_known    CHECK (kind IN ('job', 'check', 'prepare', 'teardown', 'probe', 'hook')),
  CONSTRAINT run_has_its_job      CHECK (job_id IS NOT NULL OR kind NOT IN ('job', 'check')),
  CONSTRAINT run_nonce_is_128_bit CHECK (length(nonce) = 32),
  CONSTRAINT run_outcome_is_known CHECK (outcome IS NULL OR outcome IN ('done', 'failed', 'cancelled', 'lost', 'deferred', 'unstarted')),
  CONSTRAINT run_ended_says_how   CHECK ((finished_at IS NULL) = (outcome IS NULL))
) STRICT;
INSERT INTO run VALUES(1,1,'job',NULL,NULL,NULL,1,'fde743c5ac60463fbeda2187c82b4dd7','db6a33563bbcf8618ce094d2786c8373','d80d7948-66f2-448b-bfae-529de6eea93f',1795722287856,31617,1795722287867,1795722287872,1795722287874,'done','exit',0,NULL,NULL,NULL,3305472,0,0,0);
INSERT INTO run VALUES(2,2,'job',NULL,NULL,NULL,1,'bf2ec8a3824468518da6175844d60048','db6a33563bbcf8618ce094d2786c8373','d80d7948-66f2-448b-bfae-529de6eea93f',1795722287856,31618,1795722287872,1795722287873,1795722287884,'failed','exit',1,NULL,'exit status 1',NULL,3305472,0,0,0);
INSERT INTO run VALUES(3,3,'job',NULL,NULL,NULL,1,'49fea1dce37e64859c82109c907ea654','db6a33563bbcf8618ce094d2786c8373','d80d7948-66f2-448b-bfae-529de6eea93f',1795722287874,31626,1795722287900,1795722287900,1795722287912,'done','exit',0,NULL,NULL,NULL,3305472,0,0,0);
INSERT INTO run VALUES(4,4,'job',NULL,NULL,NULL,1,'94953cb63c405fd205b7193a3daf238e','db6a33563bbcf8618ce094d2786c8373','d80d7948-66f2-448b-bfae-529de6eea93f',1795722287912,31654,1795722287960,1795722287968,1795722287980,'done','exit',0,NULL,NULL,NULL,3305472,0,0,0);
INSERT INTO run VALUES(5,5,'job',NULL,NULL,NULL,1,'477dfa7387cc7fd7d315344ee376b950','db6a33563bbcf8618ce094d2786c8373','d80d7948-66f2-448b-bfae-529de6eea93f',1795722287980,31678,1795722288011,1795722288016,1795722288030,'done','exit',0,NULL,NULL,NULL,3305472,0,0,0);
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
INSERT INTO dependency VALUES(8,7,'done','unmet');
CREATE TABLE cancel (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id    INTEGER NOT NULL,
  run_id    INTEGER,                                  -- the run it found, if the job was running
  at        INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
  why       TEXT,
  closed_at INTEGER
) STRICT;
INSERT INTO cancel VALUES(1,12,NULL,1795722288975,NULL,1795722288975);
INSERT INTO cancel VALUES(2,14,NULL,1795722298686,NULL,1795722298686);
CREATE TABLE event (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  at     INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
  job_id INTEGER,
  run_id INTEGER,
  kind   TEXT    NOT NULL,
  reason TEXT,
  detail TEXT
) STRICT;
INSERT INTO event VALUES(1,1795722286782,1,NULL,'added',NULL,NULL);
INSERT INTO event VALUES(2,1795722286954,2,NULL,'added',NULL,NULL);
INSERT INTO event VALUES(3,1795722287364,3,NULL,'added',NULL,NULL);
INSERT INTO event VALUES(4,1795722287319,3,NULL,'stage_entered',NULL,'stage build of task 1 (pipeline ship)');
INSERT INTO event VALUES(5,1795722287856,1,1,'claimed',NULL,NULL);
INSERT INTO event VALUES(6,1795722287857,2,2,'claimed',NULL,NULL);
INSERT INTO event VALUES(7,1795722287875,1,1,'done','exit',NULL);
INSERT INTO event VALUES(8,1795722287891,3,3,'claimed',NULL,NULL);
INSERT INTO event VALUES(9,1795722287891,2,2,'failed','exit','exit status 1');
INSERT INTO event VALUES(10,1795722287911,3,3,'done','exit',NULL);
INSERT INTO event VALUES(11,1795722287912,4,NULL,'added',NULL,NULL);
INSERT INTO event VALUES(12,1795722287912,4,NULL,'stage_entered',NULL,'stage test of task 1 (pipeline ship)');
INSERT INTO event VALUES(13,1795722287912,4,4,'claimed',NULL,NULL);
INSERT INTO event VALUES(14,1795722287980,4,4,'done','exit',NULL);
INSERT INTO event VALUES(15,1795722287980,5,NULL,'added',NULL,NULL);
INSERT INTO event VALUES(16,1795722287980,5,NULL,'stage_entered',NULL,'stage publish of task 1 (pipeline ship)');
INSERT INTO event VALUES(17,1795722287980,5,5,'claimed',NULL,NULL);
INSERT INTO event VALUES(18,1795722288030,5,5,'done','exit',NULL);
INSERT INTO event VALUES(19,1795722288241,6,NULL,'added',NULL,NULL);
INSERT INTO event VALUES(20,1795722288240,6,NULL,'stage_entered',NULL,'stage build of task 2 (pipeline ship)');
INSERT INTO event VALUES(21,1795722288325,7,NULL,'added',NULL,NULL);
INSERT INTO event VALUES(22,1795722288457,8,NULL,'added',NULL,NULL);
INSERT INTO event VALUES(23,1795722288546,9,NULL,'added',NULL,NULL);
INSERT INTO event VALUES(24,1795722288685,10,NULL,'added',NULL,NULL);
INSERT INTO event VALUES(25,1795722288770,11,NULL,'added',NULL,NULL);
INSERT INTO event VALUES(26,1795722288875,12,NULL,'added',NULL,NULL);
INSERT INTO event VALUES(27,1795722288974,12,NULL,'cancel_asked',NULL,NULL);
INSERT INTO event VALUES(28,1795722289013,12,NULL,'cancelled','cancelled','cancelled before it started');
INSERT INTO event VALUES(29,1795722289195,13,NULL,'added',NULL,NULL);
INSERT INTO event VALUES(30,1795722289623,9,NULL,'resource_held',NULL,'vm-7');
INSERT INTO event VALUES(31,1795722289859,14,NULL,'added',NULL,NULL);
INSERT INTO event VALUES(32,1795722298686,14,NULL,'cancel_asked',NULL,NULL);
INSERT INTO event VALUES(33,1795722298687,14,NULL,'cancelled','cancelled','cancelled before it started');
CREATE TABLE tally (
  state TEXT    NOT NULL,
  hold  TEXT    NOT NULL,
  queue TEXT    NOT NULL,
  n     INTEGER NOT NULL,
  PRIMARY KEY (state, hold, queue)
) STRICT, WITHOUT ROWID;
INSERT INTO tally VALUES('cancelled','','default',1);
INSERT INTO tally VALUES('cancelled','','night',1);
INSERT INTO tally VALUES('done','','default',4);
INSERT INTO tally VALUES('failed','','default',1);
INSERT INTO tally VALUES('queued','','default',3);
INSERT INTO tally VALUES('queued','','night',0);
INSERT INTO tally VALUES('queued','','slow',1);
INSERT INTO tally VALUES('queued','dependency','default',1);
INSERT INTO tally VALUES('queued','lane','default',0);
INSERT INTO tally VALUES('queued','time','default',1);
INSERT INTO tally VALUES('queued','user','default',1);
INSERT INTO tally VALUES('running','','default',0);
CREATE TABLE counter (
  name    TEXT PRIMARY KEY,
  n       INTEGER NOT NULL DEFAULT 0,
  last_at INTEGER,
  note    TEXT
) STRICT, WITHOUT ROWID;
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
CREATE TABLE workspace (
  key          TEXT PRIMARY KEY,
  dir          TEXT    NOT NULL,
  recipe       TEXT,
  bytes        INTEGER,                               -- what it takes on the disk, as last measured
  prepared_at  INTEGER NOT NULL,
  last_used_at INTEGER NOT NULL,
  measured_at  INTEGER,
  boot_id      TEXT    NOT NULL,
  synced       INTEGER NOT NULL DEFAULT 0,
  CONSTRAINT workspace_key_is_short       CHECK (length(key) BETWEEN 1 AND 200),
  CONSTRAINT workspace_dir_is_a_name      CHECK (length(dir) BETWEEN 1 AND 100 AND dir NOT GLOB '*[^A-Za-z0-9._-]*' AND dir NOT GLOB '.*'),
  CONSTRAINT workspace_recipe_is_an_argv  CHECK (recipe IS NULL OR (json_valid(recipe) AND json_type(recipe) = 'array')),
  CONSTRAINT workspace_bytes_not_negative CHECK (bytes IS NULL OR bytes >= 0),
  CONSTRAINT workspace_synced_is_a_flag   CHECK (synced IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE TABLE workspace_use (
  run_id INTEGER PRIMARY KEY,
  key    TEXT NOT NULL,
  dir    TEXT NOT NULL
) STRICT;
CREATE TABLE resource (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  name            TEXT    NOT NULL,
  state           TEXT    NOT NULL DEFAULT 'held',
  run_id          INTEGER,                            -- the owner: one of these three
  job_id          INTEGER,
  task_id         INTEGER,
  teardown        TEXT    NOT NULL,                   -- JSON array of strings; exit 0: it is gone
  probe           TEXT,                               -- the same; exit 0: it is there, 1: it is gone, anything else: not known
  cwd             TEXT    NOT NULL DEFAULT '/',       -- where it is gone by then: /
  env             TEXT    NOT NULL DEFAULT '{}',      -- JSON object of strings
  timeout_ms      INTEGER,                            -- of the teardown; NULL: ten minutes
  torn            INTEGER NOT NULL DEFAULT 0,
  errand          INTEGER,
  again           INTEGER NOT NULL DEFAULT 0,
  attempts        INTEGER NOT NULL DEFAULT 0,         -- times that it could not be torn down
  next_at         INTEGER NOT NULL DEFAULT 0,         -- not before this instant
  last_error      TEXT,
  created_at      INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
  releasing_since INTEGER,
  released_at     INTEGER,
  released_by     TEXT,
  CONSTRAINT resource_state_is_known       CHECK (state IN ('held', 'releasing', 'released')),
  CONSTRAINT resource_released_by_is_known CHECK (released_by IS NULL OR released_by IN ('teardown', 'probe', 'force')),
  CONSTRAINT resource_has_one_owner        CHECK ((run_id IS NOT NULL) + (job_id IS NOT NULL) + (task_id IS NOT NULL) = 1),
  CONSTRAINT resource_name_is_short        CHECK (length(name) BETWEEN 1 AND 200),
  CONSTRAINT resource_teardown_is_an_argv  CHECK (json_valid(teardown) AND json_type(teardown) = 'array' AND json_array_length(teardown) > 0),
  CONSTRAINT resource_probe_is_an_argv     CHECK (probe IS NULL OR (json_valid(probe) AND json_type(probe) = 'array' AND json_array_length(probe) > 0)),
  CONSTRAINT resource_env_is_an_object     CHECK (json_valid(env) AND json_type(env) = 'object'),
  CONSTRAINT resource_released_says_how    CHECK ((state = 'released') = (released_at IS NOT NULL) AND (state = 'released') = (released_by IS NOT NULL)),
  CONSTRAINT resource_errand_tears_down    CHECK (errand IS NULL OR state = 'releasing'),
  CONSTRAINT resource_timeout_positive     CHECK (timeout_ms IS NULL OR timeout_ms > 0),
  CONSTRAINT resource_flags_are_flags      CHECK (torn IN (0, 1) AND again IN (0, 1)),
  CONSTRAINT resource_counts_not_negative  CHECK (attempts >= 0 AND next_at >= 0)
) STRICT;
INSERT INTO resource VALUES(1,'vm-7','held',NULL,9,NULL,'["/bin/sh","-c","true"]',NULL,'/','{"A":"b"}',NULL,0,NULL,0,0,0,NULL,1795722289623,NULL,NULL,NULL);
CREATE TABLE schedule (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
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
  CONSTRAINT schedule_id_positive          CHECK (id > 0),
  CONSTRAINT schedule_name_is_short        CHECK (length(name) BETWEEN 1 AND 200),
  CONSTRAINT schedule_cron_is_short        CHECK (length(cron) BETWEEN 1 AND 200 AND length(zone) BETWEEN 1 AND 200),
  CONSTRAINT schedule_catch_up_is_known    CHECK (catch_up IN ('none', 'latest', 'all')),
  CONSTRAINT schedule_catch_up_has_a_cap   CHECK (catch_up_max BETWEEN 1 AND 1000),
  CONSTRAINT schedule_paused_is_a_flag     CHECK (paused IN (0, 1)),
  CONSTRAINT schedule_template_is_an_object CHECK (json_valid(template) AND json_type(template) = 'object'),
  CONSTRAINT schedule_times_not_negative   CHECK (decided_until >= 0 AND pruned_until >= 0 AND created_at >= 0)
) STRICT;
INSERT INTO schedule VALUES(1,'nightly','30 2 * * *','Europe/Berlin','none',100,0,NULL,NULL,'{"command":["true"],"queue":"default","label":"nightly","cwd":"/","max_attempts":1,"policy":{}}',1795722289573,1795743000000,0,1795722289573,NULL);
CREATE TABLE slot (
  schedule_id INTEGER NOT NULL,
  at          INTEGER NOT NULL,
  last_at     INTEGER NOT NULL,
  n           INTEGER NOT NULL DEFAULT 1,
  state       TEXT    NOT NULL,
  reason      TEXT,
  job_id      INTEGER,
  decided_at  INTEGER NOT NULL,
  PRIMARY KEY (schedule_id, at),
  CONSTRAINT slot_state_is_known    CHECK (state IN ('fired', 'skipped')),
  CONSTRAINT slot_reason_is_known   CHECK (reason IS NULL OR reason IN ('missed', 'paused', 'unique', 'error')),
  CONSTRAINT slot_fired_has_its_job CHECK (state <> 'fired' OR (job_id IS NOT NULL AND reason IS NULL AND n = 1 AND last_at = at)),
  CONSTRAINT slot_skipped_says_why  CHECK (state <> 'skipped' OR (reason IS NOT NULL AND n >= 1 AND last_at >= at))
) STRICT, WITHOUT ROWID;
CREATE TABLE pipeline (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT    NOT NULL,
  revision   INTEGER NOT NULL,
  spec       TEXT    NOT NULL,                        -- JSON object: start, max_rounds, params, stages
  applied_at INTEGER NOT NULL,
  CONSTRAINT pipeline_name_is_short     CHECK (length(name) BETWEEN 1 AND 200),
  CONSTRAINT pipeline_revision_positive CHECK (revision > 0),
  CONSTRAINT pipeline_spec_is_an_object CHECK (json_valid(spec) AND json_type(spec) = 'object')
) STRICT;
INSERT INTO pipeline VALUES(1,'ship',1,'{"start":"build","max_rounds":10,"stages":{"build":{"job":{"command":["true"],"has_places":true,"queue":"default","cwd":"/","max_attempts":1,"policy":{}},"on_success":"test","critical":false},"publish":{"job":{"command":["true","{version}"],"has_places":true,"queue":"default","cwd":"/","max_attempts":1,"policy":{}},"critical":false},"test":{"job":{"command":["true"],"has_places":true,"queue":"default","cwd":"/","max_attempts":1,"policy":{}},"on_success":"publish","critical":false}}}',1795722287174);
CREATE TABLE task (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  pipeline_id INTEGER NOT NULL,
  pipeline    TEXT    NOT NULL,
  key         TEXT,                                   -- at most one running task of a pipeline has it
  state       TEXT    NOT NULL DEFAULT 'running',
  stage       TEXT    NOT NULL,
  job_id      INTEGER,
  params      TEXT    NOT NULL DEFAULT '{}',          -- JSON object of strings
  error       TEXT,
  created_at  INTEGER NOT NULL,
  finished_at INTEGER,
  stop_at     INTEGER,                                -- somebody asked it to stop: nothing of it starts any more
  stop_why    TEXT,
  held        INTEGER NOT NULL DEFAULT 0,
  CONSTRAINT task_state_is_known    CHECK (state IN ('running', 'done', 'failed', 'cancelled')),
  CONSTRAINT task_ended_says_when   CHECK ((state = 'running') = (finished_at IS NULL)),
  CONSTRAINT task_names_are_short   CHECK (length(pipeline) BETWEEN 1 AND 200 AND length(stage) BETWEEN 1 AND 200
                                           AND (key IS NULL OR length(key) BETWEEN 1 AND 1000)),
  CONSTRAINT task_params_are_object CHECK (json_valid(params) AND json_type(params) = 'object'),
  CONSTRAINT task_held_is_a_flag    CHECK (held IN (0, 1))
) STRICT;
INSERT INTO task VALUES(1,1,'ship','v1','done','publish',5,'{"version":"1"}',NULL,1795722287319,1795722288030,NULL,NULL,0);
INSERT INTO task VALUES(2,1,'ship','v2','running','build',6,'{"version":"2"}',NULL,1795722288240,NULL,NULL,NULL,0);
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
INSERT INTO task_step VALUES(1,1,'build',3,1795722287319,1795722287912,'done');
INSERT INTO task_step VALUES(1,2,'test',4,1795722287912,1795722287980,'done');
INSERT INTO task_step VALUES(1,3,'publish',5,1795722287980,1795722288030,'done');
INSERT INTO task_step VALUES(2,1,'build',6,1795722288240,NULL,NULL);
CREATE TABLE task_tally (
  state TEXT    PRIMARY KEY,
  n     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO task_tally VALUES('done',1);
INSERT INTO task_tally VALUES('running',1);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('event',33);
INSERT INTO sqlite_sequence VALUES('job',14);
INSERT INTO sqlite_sequence VALUES('pipeline',1);
INSERT INTO sqlite_sequence VALUES('task',2);
INSERT INTO sqlite_sequence VALUES('cancel',2);
INSERT INTO sqlite_sequence VALUES('schedule',1);
INSERT INTO sqlite_sequence VALUES('resource',1);
CREATE INDEX lane_busy     ON lane (key) WHERE running <> 0;
CREATE INDEX lane_of_array ON lane (key) WHERE of_array = 1;
CREATE INDEX job_ready     ON job (queue, priority DESC, id)       WHERE state = 'queued' AND hold IS NULL;
CREATE INDEX job_due       ON job (available_at)                   WHERE state = 'queued' AND hold = 'time';
CREATE INDEX job_expires   ON job (expires_at)                     WHERE state = 'queued' AND expires_at IS NOT NULL AND attempts = 0 AND deferrals = 0;
CREATE INDEX job_in_lane   ON job (lane, queue, priority DESC, id) WHERE state = 'queued' AND lane IS NOT NULL AND coalesce(hold, 'lane') = 'lane';
CREATE INDEX job_lane_pass ON job (lane, queue)                    WHERE state = 'queued' AND lane_pass = 1;
CREATE INDEX job_by_state  ON job (state, id)                      WHERE state <> 'done';
CREATE INDEX job_doomed    ON job (id)                             WHERE state = 'queued' AND broken > 0;
CREATE UNIQUE INDEX job_unique_key ON job (unique_key)             WHERE unique_key IS NOT NULL AND state IN ('queued', 'running');
CREATE INDEX job_ended     ON job (finished_at)                    WHERE state IN ('done', 'failed', 'cancelled');
CREATE INDEX job_label     ON job (label)                          WHERE label IS NOT NULL;
CREATE INDEX job_task      ON job (task_id)                        WHERE task_id IS NOT NULL;
CREATE INDEX job_of_array  ON job (lane)                           WHERE lane IS NOT NULL AND array_index IS NOT NULL;
CREATE INDEX job_dependent ON job (id)                             WHERE state = 'queued' AND hold = 'dependency';
CREATE INDEX job_secrets   ON job (id)                             WHERE state IN ('queued', 'running') AND instr(policy, '"secrets"') + instr(policy, '"kept"') > 0;
CREATE INDEX job_impossible ON job (id) WHERE
  CASE state WHEN 'queued'    THEN coalesce(run_id, pid, started_at, finished_at, reason) IS NOT NULL
             WHEN 'running'   THEN run_id IS NULL OR started_at IS NULL OR finished_at IS NOT NULL OR reason IS NOT NULL
             WHEN 'done'      THEN reason IS NOT 'exit' OR exit_code IS NOT 0 OR finished_at IS NULL OR pid IS NOT NULL
             WHEN 'failed'    THEN reason IS NULL OR finished_at IS NULL OR pid IS NOT NULL
             WHEN 'cancelled' THEN reason IS NULL OR finished_at IS NULL OR pid IS NOT NULL
             ELSE 1 END
  OR attempts < 0 OR deferrals < 0 OR unstarts < 0 OR max_attempts < 1;
CREATE INDEX job_unreadable ON job (id) WHERE NOT (json_valid(command) AND json_valid(env) AND json_valid(policy));
CREATE INDEX run_of_job ON run (job_id, id);
CREATE INDEX run_open   ON run (job_id) WHERE finished_at IS NULL;
CREATE INDEX run_open_errand ON run (id) WHERE finished_at IS NULL AND kind <> 'job' AND parent IS NULL;
CREATE INDEX run_of_resource ON run (resource_id, id) WHERE resource_id IS NOT NULL;
CREATE INDEX dependency_on    ON dependency (on_job, state);
CREATE INDEX dependency_state ON dependency (job_id, state);
CREATE INDEX dependency_unmet ON dependency (on_job) WHERE state = 'unmet';
CREATE UNIQUE INDEX cancel_open ON cancel (job_id) WHERE closed_at IS NULL;
CREATE INDEX cancel_of_job ON cancel (job_id);
CREATE INDEX event_of_job ON event (job_id, id);
CREATE INDEX lease_of_run ON lease (run_id) WHERE run_id IS NOT NULL;
CREATE UNIQUE INDEX workspace_dir ON workspace (dir);
CREATE INDEX workspace_use_of_dir ON workspace_use (dir);
CREATE UNIQUE INDEX resource_of_run  ON resource (run_id, name)  WHERE run_id  IS NOT NULL AND state <> 'released';
CREATE UNIQUE INDEX resource_of_job  ON resource (job_id, name)  WHERE job_id  IS NOT NULL AND state <> 'released';
CREATE UNIQUE INDEX resource_of_task ON resource (task_id, name) WHERE task_id IS NOT NULL AND state <> 'released';
CREATE INDEX resource_live ON resource (state, id)     WHERE state <> 'released';
CREATE INDEX resource_due  ON resource (next_at, id)   WHERE state = 'releasing' AND errand IS NULL;
CREATE INDEX resource_gone ON resource (released_at)   WHERE state = 'released';
CREATE INDEX resource_run  ON resource (run_id)        WHERE run_id IS NOT NULL;
CREATE INDEX resource_job  ON resource (job_id)        WHERE job_id IS NOT NULL;
CREATE INDEX resource_task ON resource (task_id)       WHERE task_id IS NOT NULL;
CREATE INDEX job_untorn    ON job (id)                 WHERE state = 'queued' AND untorn > 0;
CREATE VIEW resource_in_the_way (job_id, resource_id) AS
  SELECT run.job_id, r.id FROM run CROSS JOIN resource r ON r.run_id = run.id
   WHERE r.state = 'releasing' AND run.job_id IS NOT NULL
  UNION ALL
  SELECT r.job_id, r.id FROM resource r WHERE r.state = 'releasing' AND r.job_id IS NOT NULL;
CREATE INDEX schedule_due     ON schedule (next_at)       WHERE paused = 0;
CREATE INDEX schedule_decided ON schedule (decided_until) WHERE paused = 0;
CREATE UNIQUE INDEX pipeline_revision ON pipeline (name, revision);
CREATE UNIQUE INDEX task_key ON task (pipeline, key) WHERE key IS NOT NULL AND state = 'running';
CREATE INDEX task_live     ON task (id)          WHERE state = 'running';
CREATE INDEX task_ended    ON task (finished_at) WHERE state <> 'running';
CREATE INDEX task_revision ON task (pipeline_id);
CREATE UNIQUE INDEX task_step_of_job ON task_step (job_id);
CREATE UNIQUE INDEX task_step_open   ON task_step (task_id) WHERE ended_at IS NULL;
CREATE VIEW legal_move (before, after, event) AS VALUES
  ('queued',    'running',   'claimed'),
  ('queued',    'cancelled', 'cancelled'),
  ('queued',    'failed',    'failed'),       -- expired, dependency, spawn: it can never start
  ('running',   'done',      'done'),
  ('running',   'failed',    'failed'),
  ('running',   'cancelled', 'cancelled'),
  ('running',   'queued',    'requeued'),     -- tried again, deferred, or never started
  ('failed',    'queued',    'retried'),      -- by a person
  ('cancelled', 'queued',    'retried')
;
CREATE VIEW dependency_truth (job_id, on_job, truth) AS
  SELECT d.job_id, d.on_job,
         CASE WHEN p.state IN ('queued', 'running')                  THEN 'unmet'
              WHEN d.need = 'any'                                    THEN 'met'
              WHEN (d.need = 'done') = (p.state = 'done')            THEN 'met'
              ELSE 'broken' END
    FROM dependency d JOIN job p ON p.id = d.on_job;
CREATE VIEW impossible_job AS SELECT * FROM job WHERE
  (CASE state WHEN 'queued'    THEN coalesce(run_id, pid, started_at, finished_at, reason) IS NOT NULL
             WHEN 'running'   THEN run_id IS NULL OR started_at IS NULL OR finished_at IS NOT NULL OR reason IS NOT NULL
             WHEN 'done'      THEN reason IS NOT 'exit' OR exit_code IS NOT 0 OR finished_at IS NULL OR pid IS NOT NULL
             WHEN 'failed'    THEN reason IS NULL OR finished_at IS NULL OR pid IS NOT NULL
             WHEN 'cancelled' THEN reason IS NULL OR finished_at IS NULL OR pid IS NOT NULL
             ELSE 1 END
  OR attempts < 0 OR deferrals < 0 OR unstarts < 0 OR max_attempts < 1);
CREATE VIEW unreadable_job AS SELECT * FROM job WHERE NOT (json_valid(command) AND json_valid(env) AND json_valid(policy));
CREATE TRIGGER job_insert_guard BEFORE INSERT ON job BEGIN
  SELECT RAISE(ABORT, 'tenure: the file gives the id; leave it out (and never use REPLACE on job)')
    WHERE NEW.id IS NOT NULL AND NEW.id <> -1;
  SELECT RAISE(ABORT, 'tenure: a new job is queued: leave out state, reason, run_id, pid, started_at, finished_at and the counts')
    WHERE NEW.state IS NOT 'queued' OR NEW.reason IS NOT NULL OR NEW.run_id IS NOT NULL OR NEW.pid IS NOT NULL
       OR NEW.started_at IS NOT NULL OR NEW.finished_at IS NOT NULL OR NEW.attempts IS NOT 0 OR NEW.deferrals IS NOT 0
       OR NEW.unstarts IS NOT 0 OR NEW.unmet IS NOT 0 OR NEW.broken IS NOT 0 OR NEW.untorn IS NOT 0 OR NEW.due_seen IS NOT 0 OR NEW.lane_pass IS NOT 0
       OR NEW.exit_code IS NOT NULL OR NEW.signal IS NOT NULL OR NEW.last_reason IS NOT NULL OR NEW.result IS NOT NULL;
  SELECT RAISE(ABORT, 'tenure: queue and lane have 1 to 200 characters, label 1000 at most, unique_key 1 to 1000')
    WHERE length(NEW.queue) NOT BETWEEN 1 AND 200 OR length(NEW.lane) NOT BETWEEN 1 AND 200 OR length(NEW.label) > 1000
       OR length(NEW.unique_key) NOT BETWEEN 1 AND 1000;
  SELECT RAISE(ABORT, 'tenure: max_attempts is 1 to 1000000, user_hold and task_hold are 0 or 1, available_at and created_at are not negative')
    WHERE NEW.max_attempts NOT BETWEEN 1 AND 1000000 OR NEW.user_hold NOT IN (0, 1) OR NEW.task_hold NOT IN (0, 1)
       OR NEW.available_at < 0 OR NEW.created_at < 0;
  SELECT RAISE(ABORT, 'tenure: a live job has this unique_key; wait for it, cancel it, or use another key')
    WHERE NEW.unique_key IS NOT NULL
      AND EXISTS (SELECT 1 FROM job WHERE unique_key = NEW.unique_key AND state IN ('queued', 'running'));
  SELECT RAISE(ABORT, 'tenure: command must be a JSON array of at least one string, such as json_array(''echo'', ''hi'')')
    WHERE NOT json_valid(NEW.command) OR json_type(NEW.command) IS NOT 'array' OR json_array_length(NEW.command) = 0;
  SELECT RAISE(ABORT, 'tenure: each element of command must be a string, and the first must not be empty')
    WHERE json_valid(NEW.command) AND (json_extract(NEW.command, '$[0]') IS ''
       OR EXISTS (SELECT 1 FROM json_each(NEW.command) WHERE type NOT IN ('text', 'object')));
  SELECT RAISE(ABORT, 'tenure: a command can not contain a NUL byte')
    WHERE instr(replace(NEW.command, '\\', ''), '\u0000') > 0;    -- `\\u0000` is a backslash and four digits
  SELECT RAISE(ABORT, 'tenure: env and policy must be JSON objects')
    WHERE NOT json_valid(NEW.env) OR json_type(NEW.env) IS NOT 'object' OR NOT json_valid(NEW.policy) OR json_type(NEW.policy) IS NOT 'object';
END
;
CREATE TRIGGER job_owner_guard
BEFORE UPDATE OF id, command, state, reason, queue, lane, cwd, run_id, pid, started_at, finished_at, attempts, max_attempts,
                 created_at, unique_key, array_index, env, policy, deferrals, unstarts, last_reason, exit_code, signal, error,
                 progress, result, task_id, task_hold, due_seen ON job BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: that is not a legal move of a job')
    WHERE NEW.state IS NOT OLD.state
      AND NOT EXISTS (SELECT 1 FROM legal_move WHERE before = OLD.state AND after = NEW.state)
      AND NOT EXISTS (SELECT 1 FROM impossible_job WHERE id = OLD.id);     -- what should not exist may be healed
  SELECT RAISE(ABORT, 'tenure: there is no such state') WHERE NEW.state NOT IN ('queued', 'running', 'done', 'failed', 'cancelled');
  SELECT RAISE(ABORT, 'tenure: a queued job owns no run, no pid, no start')
    WHERE NEW.state = 'queued' AND (NEW.run_id IS NOT NULL OR NEW.pid IS NOT NULL OR NEW.started_at IS NOT NULL
       OR NEW.finished_at IS NOT NULL OR NEW.reason IS NOT NULL);
  SELECT RAISE(ABORT, 'tenure: a running job has a run and a start')
    WHERE NEW.state = 'running' AND (NEW.run_id IS NULL OR NEW.started_at IS NULL OR NEW.finished_at IS NOT NULL OR NEW.reason IS NOT NULL);
  SELECT RAISE(ABORT, 'tenure: an ended job has a reason and an end, and no pid')
    WHERE NEW.state IN ('done', 'failed', 'cancelled') AND (NEW.reason IS NULL OR NEW.finished_at IS NULL OR NEW.pid IS NOT NULL);
  SELECT RAISE(ABORT, 'tenure: done means exit 0')
    WHERE NEW.state = 'done' AND (NEW.reason IS NOT 'exit' OR NEW.exit_code IS NOT 0);
  SELECT RAISE(ABORT, 'tenure: command must be a JSON array, env and policy JSON objects')
    WHERE (NEW.command IS NOT OLD.command OR NEW.env IS NOT OLD.env OR NEW.policy IS NOT OLD.policy)
      AND NOT (json_valid(NEW.command) AND json_valid(NEW.env) AND json_valid(NEW.policy)
               AND json_type(NEW.command) = 'array' AND json_type(NEW.env) = 'object' AND json_type(NEW.policy) = 'object');
  SELECT RAISE(ABORT, 'tenure: counts are not negative')
    WHERE NEW.attempts < 0 OR NEW.deferrals < 0 OR NEW.unstarts < 0 OR NEW.max_attempts < 1;
  SELECT RAISE(ABORT, 'tenure: a cancelled job does not start and does not go back to the queue; use tenure retry')
    WHERE NEW.state IS NOT OLD.state AND NEW.state IN ('queued', 'running') AND OLD.state IN ('queued', 'running')
      AND EXISTS (SELECT 1 FROM cancel WHERE job_id = NEW.id AND closed_at IS NULL);
  SELECT RAISE(ABORT, 'tenure: the lane of this job is full')
    WHERE NEW.state = 'running' AND OLD.state = 'queued' AND NEW.lane IS NOT NULL
      AND EXISTS (SELECT 1 FROM lane WHERE key = NEW.lane AND running >= max_running);
END
;
CREATE TRIGGER job_id_guard BEFORE UPDATE ON job WHEN NEW.id IS NOT OLD.id BEGIN
  SELECT RAISE(ABORT, 'tenure: an id never changes');
END;
CREATE TRIGGER job_client_guard
BEFORE UPDATE OF priority, label, available_at, user_hold, expires_at ON job BEGIN
  SELECT RAISE(ABORT, 'tenure: only a queued job can be changed; this one runs') WHERE OLD.state = 'running' AND NEW.state = 'running';
  SELECT RAISE(ABORT, 'tenure: user_hold is 0 or 1') WHERE NEW.user_hold NOT IN (0, 1);
  SELECT RAISE(ABORT, 'tenure: available_at is in milliseconds since 1970 and not negative') WHERE NEW.available_at < 0;
  SELECT RAISE(ABORT, 'tenure: a label has 1000 characters at most') WHERE length(NEW.label) > 1000;
END;
CREATE TRIGGER job_ended_guard BEFORE UPDATE ON job
WHEN OLD.state IN ('done', 'failed', 'cancelled') AND NEW.state = OLD.state BEGIN
  SELECT RAISE(ABORT, 'tenure: an ended job does not change; tenure retry puts it back')
    WHERE NOT EXISTS (SELECT 1 FROM impossible_job WHERE id = OLD.id);
END;
CREATE TRIGGER job_delete_guard BEFORE DELETE ON job BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: cancel the job first') WHERE OLD.state IN ('queued', 'running');
END;
CREATE TRIGGER job_enters AFTER INSERT ON job BEGIN
  SELECT RAISE(ABORT, 'tenure: the file gives the id; leave it out') WHERE NEW.id < 1;
  INSERT OR IGNORE INTO queue (name) VALUES (NEW.queue);
  INSERT OR IGNORE INTO lane (key) SELECT NEW.lane WHERE NEW.lane IS NOT NULL;
  INSERT INTO tally VALUES ('queued', coalesce(NEW.hold, ''), NEW.queue, 1) ON CONFLICT DO UPDATE SET n = n + 1;
  INSERT INTO event (job_id, kind) VALUES (NEW.id, 'added');
  INSERT INTO lane_head SELECT NEW.lane, NEW.queue WHERE NEW.lane IS NOT NULL;
END;
CREATE TRIGGER job_is_counted
AFTER UPDATE OF state, queue, user_hold, task_hold, unmet, broken, untorn, available_at, due_seen, lane, lane_pass ON job
WHEN OLD.state IS NOT NEW.state OR OLD.queue IS NOT NEW.queue OR OLD.hold IS NOT NEW.hold BEGIN
  INSERT INTO tally VALUES (OLD.state, coalesce(OLD.hold, ''), OLD.queue, -1) ON CONFLICT DO UPDATE SET n = n - 1;
  INSERT INTO tally VALUES (NEW.state, coalesce(NEW.hold, ''), NEW.queue, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER job_leaves AFTER DELETE ON job BEGIN
  INSERT INTO tally VALUES (OLD.state, coalesce(OLD.hold, ''), OLD.queue, -1) ON CONFLICT DO UPDATE SET n = n - 1;
END;
CREATE TRIGGER job_move_is_an_event AFTER UPDATE OF state ON job WHEN OLD.state IS NOT NEW.state BEGIN
  INSERT INTO event (job_id, run_id, kind, reason, detail)
    SELECT NEW.id, coalesce(NEW.run_id, OLD.run_id), event, coalesce(NEW.reason, CASE WHEN OLD.state = 'running' THEN NEW.last_reason END),
           CASE WHEN NEW.state = 'running' THEN NULL ELSE NEW.error END
      FROM legal_move WHERE before = OLD.state AND after = NEW.state;
END;
CREATE TRIGGER job_hold_is_an_event AFTER UPDATE OF user_hold ON job WHEN OLD.user_hold IS NOT NEW.user_hold AND NEW.state = 'queued' BEGIN
  INSERT INTO event (job_id, kind) VALUES (NEW.id, CASE WHEN NEW.user_hold THEN 'held' ELSE 'released' END);
END;
CREATE TRIGGER job_fills_its_lane AFTER UPDATE OF state ON job
WHEN NEW.lane IS NOT NULL AND (OLD.state = 'running') <> (NEW.state = 'running') BEGIN
  UPDATE lane SET running = max(0, running + (NEW.state = 'running') - (OLD.state = 'running')) WHERE key = NEW.lane;
END;
CREATE VIEW lane_head (lane, queue) AS SELECT NULL, NULL WHERE 0;
CREATE TRIGGER lane_head_is_chosen INSTEAD OF INSERT ON lane_head BEGIN
  UPDATE job SET lane_pass = 0
   WHERE lane = NEW.lane AND queue = NEW.queue AND state = 'queued' AND lane_pass = 1
     AND id IS NOT (SELECT id FROM job WHERE lane = NEW.lane AND queue = NEW.queue AND state = 'queued' AND coalesce(hold, 'lane') = 'lane'
                       AND EXISTS (SELECT 1 FROM lane WHERE key = NEW.lane AND running < max_running)
                     ORDER BY priority DESC, id LIMIT 1);
  UPDATE job SET lane_pass = 1
   WHERE lane_pass = 0
     AND id = (SELECT id FROM job WHERE lane = NEW.lane AND queue = NEW.queue AND state = 'queued' AND coalesce(hold, 'lane') = 'lane'
                  AND EXISTS (SELECT 1 FROM lane WHERE key = NEW.lane AND running < max_running)
                ORDER BY priority DESC, id LIMIT 1);
END;
CREATE TRIGGER job_moves_in_its_lane
AFTER UPDATE OF state, queue, lane, priority, user_hold, task_hold, unmet, broken, untorn, available_at, due_seen, lane_pass ON job
WHEN (OLD.lane IS NOT NULL OR NEW.lane IS NOT NULL)
 AND (OLD.state IS NOT NEW.state OR OLD.queue IS NOT NEW.queue OR OLD.lane IS NOT NEW.lane OR OLD.priority IS NOT NEW.priority
      OR OLD.hold IS NOT NEW.hold OR OLD.lane_pass IS NOT NEW.lane_pass) BEGIN
  INSERT INTO lane_head SELECT OLD.lane, OLD.queue WHERE OLD.lane IS NOT NULL;
  INSERT INTO lane_head SELECT NEW.lane, NEW.queue
   WHERE NEW.lane IS NOT NULL AND (OLD.lane IS NOT NEW.lane OR OLD.queue IS NOT NEW.queue);
END;
CREATE TRIGGER lane_opens_or_fills AFTER UPDATE OF running, max_running ON lane
WHEN (OLD.running < OLD.max_running) <> (NEW.running < NEW.max_running) BEGIN
  INSERT INTO lane_head SELECT NEW.key, queue FROM (
    -- The queues that have members waiting, one index lookup for each, however many members there are.
    WITH RECURSIVE waiting (queue) AS (
      SELECT min(queue) FROM job WHERE lane = NEW.key AND state = 'queued' AND coalesce(hold, 'lane') = 'lane'
      UNION ALL
      SELECT (SELECT min(queue) FROM job WHERE lane = NEW.key AND queue > waiting.queue AND state = 'queued' AND coalesce(hold, 'lane') = 'lane')
        FROM waiting WHERE waiting.queue IS NOT NULL)
    SELECT queue FROM waiting WHERE queue IS NOT NULL);
END
;
CREATE TRIGGER run_insert_guard BEFORE INSERT ON run BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: a run id is never used twice') WHERE EXISTS (SELECT 1 FROM run WHERE id = NEW.id);
END;
CREATE TRIGGER run_update_guard BEFORE UPDATE ON run BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: an ended run never changes') WHERE OLD.finished_at IS NOT NULL;
  SELECT RAISE(ABORT, 'tenure: a run keeps its id, its job and its nonce')
    WHERE NEW.id IS NOT OLD.id OR NEW.job_id IS NOT OLD.job_id OR NEW.nonce IS NOT OLD.nonce;
END;
CREATE TRIGGER run_delete_guard BEFORE DELETE ON run BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER cancel_insert_guard BEFORE INSERT ON cancel BEGIN
  SELECT RAISE(ABORT, 'tenure: the file gives the id of a cancel; leave it out') WHERE NEW.id IS NOT NULL AND NEW.id <> -1;
  SELECT RAISE(ABORT, 'tenure: a new cancel is open; leave out closed_at') WHERE NEW.closed_at IS NOT NULL;
  SELECT RAISE(ABORT, 'tenure: no such job') WHERE NOT EXISTS (SELECT 1 FROM job WHERE id = NEW.job_id);
  SELECT RAISE(ABORT, 'tenure: that job has ended already')
    WHERE EXISTS (SELECT 1 FROM job WHERE id = NEW.job_id AND state NOT IN ('queued', 'running'));
  SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM cancel WHERE job_id = NEW.job_id AND closed_at IS NULL);
END;
CREATE TRIGGER cancel_is_an_event AFTER INSERT ON cancel BEGIN
  INSERT INTO event (job_id, run_id, kind, detail)
    SELECT NEW.job_id, run_id, 'cancel_asked', NEW.why FROM job WHERE id = NEW.job_id;
END;
CREATE TRIGGER cancel_update_guard BEFORE UPDATE ON cancel BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER cancel_delete_guard BEFORE DELETE ON cancel BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER dependency_insert_guard BEFORE INSERT ON dependency BEGIN
  SELECT RAISE(ABORT, 'tenure: that dependency is there already')
    WHERE EXISTS (SELECT 1 FROM dependency WHERE job_id = NEW.job_id AND on_job = NEW.on_job);
  SELECT RAISE(ABORT, 'tenure: only a queued job can be given a dependency')
    WHERE NOT EXISTS (SELECT 1 FROM job WHERE id = NEW.job_id AND state = 'queued');
  SELECT RAISE(ABORT, 'tenure: the job to wait for does not exist')
    WHERE NOT EXISTS (SELECT 1 FROM job WHERE id = NEW.on_job);
  SELECT RAISE(ABORT, 'tenure: a job waits only for jobs added before it, so that there are no cycles')
    WHERE NEW.on_job >= NEW.job_id;
  SELECT RAISE(ABORT, 'tenure: a new dependency is unmet; leave out its state') WHERE NEW.state IS NOT 'unmet';
END;
CREATE TRIGGER dependency_update_guard BEFORE UPDATE ON dependency BEGIN
  SELECT RAISE(ABORT, 'tenure: a dependency changes its state only, and only to what its parent says')
    WHERE NEW.job_id IS NOT OLD.job_id OR NEW.on_job IS NOT OLD.on_job OR NEW.need IS NOT OLD.need
       OR NEW.state IS NOT (SELECT truth FROM dependency_truth WHERE job_id = OLD.job_id AND on_job = OLD.on_job);
END;
CREATE TRIGGER dependency_delete_guard BEFORE DELETE ON dependency BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER dependency_enters AFTER INSERT ON dependency BEGIN
  UPDATE job SET unmet = (SELECT count(*) FROM dependency WHERE job_id = NEW.job_id AND state = 'unmet') WHERE id = NEW.job_id;
  UPDATE dependency SET state = (SELECT truth FROM dependency_truth WHERE job_id = NEW.job_id AND on_job = NEW.on_job)
   WHERE job_id = NEW.job_id AND on_job = NEW.on_job
     AND EXISTS (SELECT 1 FROM job WHERE id = NEW.on_job AND state NOT IN ('queued', 'running'));
END;
CREATE TRIGGER dependency_is_counted AFTER UPDATE OF state ON dependency WHEN OLD.state IS NOT NEW.state BEGIN
  UPDATE job SET unmet  = (SELECT count(*) FROM dependency WHERE job_id = NEW.job_id AND state = 'unmet'),
                 broken = (SELECT count(*) FROM dependency WHERE job_id = NEW.job_id AND state = 'broken')
   WHERE id = NEW.job_id AND state = 'queued';
END;
CREATE TRIGGER job_unmet_guard BEFORE UPDATE OF unmet, broken ON job
WHEN NEW.unmet IS NOT OLD.unmet OR NEW.broken IS NOT OLD.broken BEGIN
  SELECT RAISE(ABORT, 'tenure: unmet and broken count the rows in dependency; change those')
    WHERE NEW.unmet IS NOT (SELECT count(*) FROM dependency WHERE job_id = NEW.id AND state = 'unmet')
       OR NEW.broken IS NOT (SELECT count(*) FROM dependency WHERE job_id = NEW.id AND state = 'broken');
END;
CREATE TRIGGER event_insert_guard BEFORE INSERT ON event BEGIN
  SELECT RAISE(ABORT, 'tenure: the file gives the id of an event; leave it out') WHERE NEW.id IS NOT NULL AND NEW.id <> -1;
END;
CREATE TRIGGER event_update_guard BEFORE UPDATE ON event BEGIN
  SELECT RAISE(ABORT, 'tenure: history does not change');
END;
CREATE TRIGGER event_delete_guard BEFORE DELETE ON event BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER meta_insert_guard BEFORE INSERT ON meta BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER meta_update_guard BEFORE UPDATE ON meta BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER meta_delete_guard BEFORE DELETE ON meta BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER counter_insert_guard BEFORE INSERT ON counter BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER counter_update_guard BEFORE UPDATE ON counter BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER counter_delete_guard BEFORE DELETE ON counter BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER lane_update_guard BEFORE UPDATE OF key, running, of_array ON lane BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER lane_insert_guard BEFORE INSERT ON lane BEGIN
  SELECT RAISE(ABORT, 'tenure: a new lane is empty; leave out running') WHERE NEW.running IS NOT 0;
  SELECT RAISE(ABORT, 'tenure: of_array is 0 or 1') WHERE NEW.of_array NOT IN (0, 1);
  SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM lane WHERE key = NEW.key);
END;
CREATE TRIGGER lane_delete_guard BEFORE DELETE ON lane BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER queue_insert_guard BEFORE INSERT ON queue BEGIN
  SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM queue WHERE name = NEW.name);
END;
CREATE TRIGGER queue_rename_guard BEFORE UPDATE OF name ON queue BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER queue_delete_guard BEFORE DELETE ON queue BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER lease_insert_guard BEFORE INSERT ON lease BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: that lease is held') WHERE EXISTS (SELECT 1 FROM lease WHERE name = NEW.name);
  SELECT RAISE(ABORT, 'tenure: a lease has a name of 1 to 210 characters, a nonce, and the argv of its owner')
    WHERE length(NEW.name) NOT BETWEEN 1 AND 210 OR length(NEW.nonce) <> 32 OR NEW.nonce GLOB '*[^0-9a-f]*' OR length(NEW.why) > 1000
       OR NOT json_valid(NEW.command) OR json_type(NEW.command) IS NOT 'array';
  SELECT RAISE(ABORT, 'tenure: only a run that has not ended can have a lease')
    WHERE NEW.run_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run WHERE id = NEW.run_id AND finished_at IS NULL);
END;
CREATE TRIGGER lease_update_guard BEFORE UPDATE ON lease BEGIN
  SELECT RAISE(ABORT, 'tenure: a lease does not change hands; it is freed, and taken anew');
END;
CREATE TRIGGER lease_delete_guard BEFORE DELETE ON lease BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER run_frees_its_leases AFTER UPDATE OF finished_at ON run
WHEN OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL
 AND EXISTS (SELECT 1 FROM lease WHERE run_id = NEW.id) BEGIN
  DELETE FROM lease WHERE run_id = NEW.id;
END;
CREATE TRIGGER workspace_insert_guard BEFORE INSERT ON workspace BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: that workspace is there already') WHERE EXISTS (SELECT 1 FROM workspace WHERE key = NEW.key);
  SELECT RAISE(ABORT, 'tenure: that directory is another workspace''s') WHERE EXISTS (SELECT 1 FROM workspace WHERE dir = NEW.dir);
  SELECT RAISE(ABORT, 'tenure: a workspace has a key of 1 to 200 characters, the plain name of a directory, and the argv that fills it')
    WHERE length(NEW.key) NOT BETWEEN 1 AND 200 OR length(NEW.dir) NOT BETWEEN 1 AND 100 OR NEW.dir GLOB '*[^A-Za-z0-9._-]*' OR NEW.dir GLOB '.*'
       OR (NEW.recipe IS NOT NULL AND (NOT json_valid(NEW.recipe) OR json_type(NEW.recipe) IS NOT 'array')) OR NEW.bytes < 0
       OR NEW.synced NOT IN (0, 1);
END;
CREATE TRIGGER workspace_update_guard BEFORE UPDATE ON workspace BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: a workspace keeps its key, its directory and its recipe; one that is made anew is another row')
    WHERE NEW.key IS NOT OLD.key OR NEW.dir IS NOT OLD.dir OR NEW.recipe IS NOT OLD.recipe;
  SELECT RAISE(ABORT, 'tenure: a size is not negative') WHERE NEW.bytes < 0;
END;
CREATE TRIGGER workspace_delete_guard BEFORE DELETE ON workspace BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER workspace_use_insert_guard BEFORE INSERT ON workspace_use BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: that run has its workspace') WHERE EXISTS (SELECT 1 FROM workspace_use WHERE run_id = NEW.run_id);
  SELECT RAISE(ABORT, 'tenure: only an open run is in a workspace, and only in one that is there')
    WHERE NOT EXISTS (SELECT 1 FROM run WHERE id = NEW.run_id AND finished_at IS NULL)
       OR NOT EXISTS (SELECT 1 FROM workspace WHERE key = NEW.key AND dir = NEW.dir);
END;
CREATE TRIGGER workspace_use_update_guard BEFORE UPDATE ON workspace_use BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: a run that is in a workspace stays in it');
END;
CREATE TRIGGER workspace_use_delete_guard BEFORE DELETE ON workspace_use BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER run_leaves_its_workspace AFTER UPDATE OF finished_at ON run
WHEN OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL
 AND EXISTS (SELECT 1 FROM workspace_use WHERE run_id = NEW.id) BEGIN
  UPDATE workspace SET last_used_at = max(last_used_at, NEW.finished_at) WHERE dir = (SELECT dir FROM workspace_use WHERE run_id = NEW.id);
  DELETE FROM workspace_use WHERE run_id = NEW.id;
END;
CREATE TRIGGER resource_insert_guard BEFORE INSERT ON resource BEGIN
  SELECT RAISE(ABORT, 'tenure: the file gives the id of a resource; leave it out') WHERE NEW.id IS NOT NULL AND NEW.id <> -1;
  SELECT RAISE(ABORT, 'tenure: a new resource is held: name its owner, teardown, probe, cwd and env, and leave out the rest')
    WHERE NEW.state IS NOT 'held' OR NEW.torn IS NOT 0 OR NEW.errand IS NOT NULL OR NEW.again IS NOT 0 OR NEW.attempts IS NOT 0
       OR NEW.next_at IS NOT 0 OR NEW.last_error IS NOT NULL OR NEW.releasing_since IS NOT NULL OR NEW.released_at IS NOT NULL OR NEW.released_by IS NOT NULL;
  SELECT RAISE(ABORT, 'tenure: a resource has one owner: give run_id, job_id or task_id')
    WHERE (NEW.run_id IS NOT NULL) + (NEW.job_id IS NOT NULL) + (NEW.task_id IS NOT NULL) <> 1;
  SELECT RAISE(ABORT, 'tenure: the job that is to own the resource does not exist')
    WHERE NEW.job_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM job WHERE id = NEW.job_id);
  SELECT RAISE(ABORT, 'tenure: the task that is to own the resource does not exist')
    WHERE NEW.task_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM task WHERE id = NEW.task_id);
  SELECT RAISE(ABORT, 'tenure: the name of a resource has 1 to 200 characters and no NUL')
    WHERE length(NEW.name) NOT BETWEEN 1 AND 200 OR instr(NEW.name, char(0)) > 0;
  SELECT RAISE(ABORT, 'tenure: teardown and probe must be JSON arrays of strings, such as json_array(''rm'', ''-rf'', ''/srv/x'')')
    WHERE NOT json_valid(NEW.teardown) OR json_type(NEW.teardown) IS NOT 'array' OR json_array_length(NEW.teardown) = 0
       OR (NEW.probe IS NOT NULL AND (NOT json_valid(NEW.probe) OR json_type(NEW.probe) IS NOT 'array' OR json_array_length(NEW.probe) = 0));
  SELECT RAISE(ABORT, 'tenure: each element of teardown and probe must be a string without NUL, and the first must not be empty')
    WHERE json_valid(NEW.teardown) AND (NEW.probe IS NULL OR json_valid(NEW.probe))
      AND (json_extract(NEW.teardown, '$[0]') IS '' OR json_extract(NEW.probe, '$[0]') IS ''
       OR EXISTS (SELECT 1 FROM json_each(NEW.teardown) WHERE type NOT IN ('text', 'object'))
       OR EXISTS (SELECT 1 FROM json_each(NEW.probe) WHERE type NOT IN ('text', 'object'))
       OR instr(replace(NEW.teardown, '\\', ''), '\u0000') > 0 OR instr(replace(NEW.probe, '\\', ''), '\u0000') > 0);
  SELECT RAISE(ABORT, 'tenure: env must be a JSON object') WHERE NOT json_valid(NEW.env) OR json_type(NEW.env) IS NOT 'object';
  SELECT RAISE(ABORT, 'tenure: timeout_ms is positive') WHERE NEW.timeout_ms <= 0;
  SELECT RAISE(ABORT, 'tenure: its owner has a resource of this name; tenure resource add replaces its teardown')
    WHERE EXISTS (SELECT 1 FROM resource WHERE run_id = NEW.run_id AND name = NEW.name AND state <> 'released')
       OR EXISTS (SELECT 1 FROM resource WHERE job_id = NEW.job_id AND name = NEW.name AND state <> 'released')
       OR EXISTS (SELECT 1 FROM resource WHERE task_id = NEW.task_id AND name = NEW.name AND state <> 'released');
END;
CREATE TRIGGER resource_owner_guard
BEFORE UPDATE OF id, name, run_id, job_id, task_id, teardown, probe, cwd, env, timeout_ms, torn, errand, again, attempts, last_error,
                 created_at, released_at, released_by ON resource BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: a resource keeps its name and its owner')
    WHERE NEW.name IS NOT OLD.name OR NEW.run_id IS NOT OLD.run_id OR NEW.job_id IS NOT OLD.job_id OR NEW.task_id IS NOT OLD.task_id;
  SELECT RAISE(ABORT, 'tenure: teardown and probe must be JSON arrays, env a JSON object')
    WHERE NOT (json_valid(NEW.teardown) AND json_type(NEW.teardown) = 'array' AND json_array_length(NEW.teardown) > 0
               AND json_valid(NEW.env) AND json_type(NEW.env) = 'object')
       OR (NEW.probe IS NOT NULL AND NOT (json_valid(NEW.probe) AND json_type(NEW.probe) = 'array' AND json_array_length(NEW.probe) > 0));
  SELECT RAISE(ABORT, 'tenure: counts are not negative, torn and again are 0 or 1')
    WHERE NEW.attempts < 0 OR NEW.torn NOT IN (0, 1) OR NEW.again NOT IN (0, 1);
END;
CREATE TRIGGER resource_state_guard BEFORE UPDATE ON resource BEGIN
  SELECT RAISE(ABORT, 'tenure: an id never changes') WHERE NEW.id IS NOT OLD.id;
  SELECT RAISE(ABORT, 'tenure: what is torn down does not change') WHERE OLD.state = 'released';
  SELECT RAISE(ABORT, 'tenure: a resource goes from held to releasing, and from there to released')
    WHERE NEW.state IS NOT OLD.state AND NOT (NEW.state = 'releasing' AND OLD.state = 'held') AND NEW.state IS NOT 'released';
  SELECT RAISE(ABORT, 'tenure: tenure resource release ID tears it down, and with --force it counts as gone')
    WHERE (NEW.state = 'released') <> (NEW.released_at IS NOT NULL) OR (NEW.state = 'released') <> (NEW.released_by IS NOT NULL)
       OR (NEW.released_by IS NOT NULL AND NEW.released_by NOT IN ('teardown', 'probe', 'force'));
  SELECT RAISE(ABORT, 'tenure: an errand tears down what is releasing') WHERE NEW.errand IS NOT NULL AND NEW.state IS NOT 'releasing';
  SELECT RAISE(ABORT, 'tenure: next_at is in milliseconds since 1970 and not negative') WHERE NEW.next_at < 0;
END
;
CREATE TRIGGER resource_delete_guard BEFORE DELETE ON resource BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: tear the resource down first') WHERE OLD.state <> 'released';
END;
CREATE TRIGGER resource_enters AFTER INSERT ON resource BEGIN
  SELECT RAISE(ABORT, 'tenure: the file gives the id of a resource; leave it out') WHERE NEW.id < 1;
  INSERT INTO event (job_id, run_id, kind, detail)
    SELECT job_id, NEW.run_id, 'resource_held', NEW.name
      FROM (SELECT coalesce(NEW.job_id, (SELECT job_id FROM run WHERE id = NEW.run_id)) AS job_id) WHERE job_id IS NOT NULL;
  UPDATE resource SET state = 'releasing'
   WHERE id = NEW.id
     AND (   (NEW.run_id  IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run  WHERE id = NEW.run_id AND finished_at IS NULL))
          OR (NEW.job_id  IS NOT NULL AND NOT EXISTS (SELECT 1 FROM job  WHERE id = NEW.job_id AND state IN ('queued', 'running')))
          OR (NEW.task_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM task WHERE id = NEW.task_id AND state = 'running')));
END;
CREATE TRIGGER resource_moves AFTER UPDATE OF state ON resource WHEN OLD.state IS NOT NEW.state BEGIN
  UPDATE resource SET releasing_since = CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), next_at = 0
   WHERE id = NEW.id AND state = 'releasing' AND releasing_since IS NULL;
  INSERT INTO event (job_id, run_id, kind, detail)
    SELECT job_id, NEW.run_id, 'resource_' || NEW.state, NEW.name || CASE WHEN NEW.released_by IS NULL THEN '' ELSE ' (' || NEW.released_by || ')' END
      FROM (SELECT coalesce(NEW.job_id, (SELECT job_id FROM run WHERE id = NEW.run_id)) AS job_id) WHERE job_id IS NOT NULL;
  UPDATE job SET untorn = (SELECT count(*) FROM resource_in_the_way w WHERE w.job_id = job.id)
   WHERE id = coalesce(NEW.job_id, (SELECT job_id FROM run WHERE id = NEW.run_id)) AND state IN ('queued', 'running')
     AND (NEW.state = 'released' OR NEW.releasing_since IS NULL);
END;
CREATE TRIGGER job_untorn_guard BEFORE UPDATE OF untorn ON job WHEN NEW.untorn IS NOT OLD.untorn BEGIN
  SELECT RAISE(ABORT, 'tenure: untorn counts the rows in resource; tenure resource ls shows them')
    WHERE NEW.untorn IS NOT (SELECT count(*) FROM resource_in_the_way w WHERE w.job_id = NEW.id);
END;
CREATE TRIGGER job_goes_back AFTER UPDATE OF state ON job WHEN NEW.state = 'queued' AND OLD.state IS NOT 'queued' BEGIN
  UPDATE job SET untorn = (SELECT count(*) FROM resource_in_the_way w WHERE w.job_id = NEW.id)
   WHERE id = NEW.id AND untorn IS NOT (SELECT count(*) FROM resource_in_the_way w WHERE w.job_id = NEW.id);
END;
CREATE TRIGGER run_ends_its_errand AFTER UPDATE OF finished_at ON run
WHEN NEW.resource_id IS NOT NULL AND OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL BEGIN
  UPDATE resource SET errand = NULL, again = 0 WHERE id = NEW.resource_id AND errand = NEW.id;
END;
CREATE TRIGGER run_ends_what_it_holds AFTER UPDATE OF finished_at ON run
WHEN OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL
 AND EXISTS (SELECT 1 FROM resource WHERE run_id = NEW.id) BEGIN
  UPDATE resource SET state = 'releasing', next_at = 0, releasing_since = CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
   WHERE run_id = NEW.id AND state = 'held';
  UPDATE job SET untorn = (SELECT count(*) FROM resource_in_the_way w WHERE w.job_id = job.id)
   WHERE id = NEW.job_id AND state IN ('queued', 'running');
END;
CREATE TRIGGER job_ends_what_it_holds AFTER UPDATE OF state ON job
WHEN NEW.state IN ('done', 'failed', 'cancelled') AND OLD.state IS NOT NEW.state
 AND EXISTS (SELECT 1 FROM resource WHERE job_id = NEW.id) BEGIN
  UPDATE resource SET state = 'releasing' WHERE job_id = NEW.id AND state = 'held';
END;
CREATE TRIGGER task_ends_what_it_holds AFTER UPDATE OF state ON task WHEN OLD.state = 'running' AND NEW.state <> 'running' BEGIN
  UPDATE resource SET state = 'releasing' WHERE task_id = NEW.id AND state = 'held';
END;
CREATE TRIGGER schedule_insert_guard BEFORE INSERT ON schedule BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: the file gives the id of a schedule; leave it out') WHERE NEW.id IS NOT NULL AND NEW.id <> -1;
  SELECT RAISE(ABORT, 'tenure: there is a schedule of that name; tenure schedule rm removes it')
    WHERE EXISTS (SELECT 1 FROM schedule WHERE name = NEW.name);
  SELECT RAISE(ABORT, 'tenure: a schedule needs a catch_up of none, latest or all, a cap from 1 to 1000, and a JSON object as its template')
    WHERE NEW.catch_up NOT IN ('none', 'latest', 'all') OR NEW.catch_up_max NOT BETWEEN 1 AND 1000 OR NEW.paused NOT IN (0, 1)
       OR NOT json_valid(NEW.template) OR json_type(NEW.template) IS NOT 'object';
END;
CREATE TRIGGER schedule_owner_guard
BEFORE UPDATE OF id, name, cron, zone, catch_up, catch_up_max, template, decided_until, next_at, pruned_until, created_at, last_error ON schedule BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER schedule_name_guard BEFORE UPDATE ON schedule BEGIN
  SELECT RAISE(ABORT, 'tenure: a schedule keeps its id and its name; add another') WHERE NEW.id IS NOT OLD.id OR NEW.name IS NOT OLD.name;
  SELECT RAISE(ABORT, 'tenure: paused is 0 or 1') WHERE NEW.paused NOT IN (0, 1);
END;
CREATE TRIGGER schedule_delete_guard BEFORE DELETE ON schedule BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER schedule_pauses AFTER UPDATE OF paused ON schedule
WHEN OLD.paused = 0 AND NEW.paused = 1 AND NEW.paused_at IS OLD.paused_at BEGIN
  UPDATE schedule
     SET paused_at = CASE WHEN OLD.resumed_at > OLD.decided_until THEN OLD.paused_at
                          ELSE CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) END,
         resumed_at = NULL
   WHERE id = NEW.id;
END;
CREATE TRIGGER schedule_resumes AFTER UPDATE OF paused ON schedule
WHEN OLD.paused = 1 AND NEW.paused = 0 AND NEW.resumed_at IS OLD.resumed_at BEGIN
  UPDATE schedule SET resumed_at = CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) WHERE id = NEW.id;
END;
CREATE TRIGGER slot_insert_guard BEFORE INSERT ON slot BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: that slot is decided already') WHERE EXISTS (SELECT 1 FROM slot WHERE schedule_id = NEW.schedule_id AND at = NEW.at);
  SELECT RAISE(ABORT, 'tenure: a slot is fired, with its job, or skipped, with a reason')
    WHERE NEW.state NOT IN ('fired', 'skipped') OR (NEW.state = 'fired') <> (NEW.reason IS NULL) OR (NEW.state = 'fired' AND NEW.job_id IS NULL);
END;
CREATE TRIGGER slot_update_guard BEFORE UPDATE ON slot BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: a slot that was fired does not change') WHERE OLD.state = 'fired';
  SELECT RAISE(ABORT, 'tenure: a slot keeps its schedule and its instant') WHERE NEW.schedule_id IS NOT OLD.schedule_id OR NEW.at IS NOT OLD.at;
END;
CREATE TRIGGER slot_delete_guard BEFORE DELETE ON slot BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER pipeline_insert_guard BEFORE INSERT ON pipeline BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: a revision of a pipeline is written once')
    WHERE EXISTS (SELECT 1 FROM pipeline WHERE id = NEW.id OR (name = NEW.name AND revision = NEW.revision));
END;
CREATE TRIGGER pipeline_update_guard BEFORE UPDATE ON pipeline BEGIN
  SELECT RAISE(ABORT, 'tenure: a revision of a pipeline never changes; tenure pipeline apply makes a new one');
END;
CREATE TRIGGER pipeline_delete_guard BEFORE DELETE ON pipeline BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: a task is on this revision') WHERE EXISTS (SELECT 1 FROM task WHERE pipeline_id = OLD.id);
END;
CREATE TRIGGER task_insert_guard BEFORE INSERT ON task BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: the file gives the id of a task; leave it out') WHERE NEW.id IS NOT NULL AND NEW.id <> -1;
  SELECT RAISE(ABORT, 'tenure: a new task is running and has no job yet')
    WHERE NEW.state IS NOT 'running' OR NEW.job_id IS NOT NULL OR NEW.finished_at IS NOT NULL OR NEW.stop_at IS NOT NULL;
  SELECT RAISE(ABORT, 'tenure: a running task of this pipeline has this key')
    WHERE NEW.key IS NOT NULL AND EXISTS (SELECT 1 FROM task WHERE pipeline = NEW.pipeline AND key = NEW.key AND state = 'running');
  SELECT RAISE(ABORT, 'tenure: params must be a JSON object') WHERE NOT json_valid(NEW.params) OR json_type(NEW.params) IS NOT 'object';
END;
CREATE TRIGGER task_update_guard BEFORE UPDATE ON task BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: an ended task never changes; tenure task start walks the pipeline anew') WHERE OLD.state <> 'running';
  SELECT RAISE(ABORT, 'tenure: a task is running, done, failed or cancelled')
    WHERE NEW.state NOT IN ('running', 'done', 'failed', 'cancelled') OR (NEW.state = 'running') <> (NEW.finished_at IS NULL);
  SELECT RAISE(ABORT, 'tenure: a task keeps its id, its pipeline, its key and its parameters')
    WHERE NEW.id IS NOT OLD.id OR NEW.pipeline_id IS NOT OLD.pipeline_id OR NEW.pipeline IS NOT OLD.pipeline OR NEW.key IS NOT OLD.key
       OR NEW.params IS NOT OLD.params OR NEW.created_at IS NOT OLD.created_at;
  SELECT RAISE(ABORT, 'tenure: a task that was asked to stop enters no stage and ends as cancelled')
    WHERE OLD.stop_at IS NOT NULL AND (NEW.stop_at IS NULL OR NEW.stage IS NOT OLD.stage OR NEW.state IN ('done', 'failed'));
END;
CREATE TRIGGER task_delete_guard BEFORE DELETE ON task BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: stop the task first: tenure task stop') WHERE OLD.state = 'running';
END;
CREATE TRIGGER task_step_insert_guard BEFORE INSERT ON task_step BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: a task is in one stage at a time')
    WHERE EXISTS (SELECT 1 FROM task_step WHERE task_id = NEW.task_id AND (seq = NEW.seq OR ended_at IS NULL))
       OR EXISTS (SELECT 1 FROM task_step WHERE job_id = NEW.job_id);
END;
CREATE TRIGGER task_step_update_guard BEFORE UPDATE ON task_step BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: a step ends once, and is what it was')
    WHERE OLD.ended_at IS NOT NULL OR NEW.task_id IS NOT OLD.task_id OR NEW.seq IS NOT OLD.seq OR NEW.stage IS NOT OLD.stage
       OR NEW.job_id IS NOT OLD.job_id OR NEW.entered_at IS NOT OLD.entered_at;
END;
CREATE TRIGGER task_step_delete_guard BEFORE DELETE ON task_step BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
  SELECT RAISE(ABORT, 'tenure: the steps of a running task stay') WHERE EXISTS (SELECT 1 FROM task WHERE id = OLD.task_id AND state = 'running');
END;
CREATE TRIGGER task_tally_insert_guard BEFORE INSERT ON task_tally BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER task_tally_update_guard BEFORE UPDATE ON task_tally BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER task_tally_delete_guard BEFORE DELETE ON task_tally BEGIN
  SELECT tenure_owns_this_column__to_cancel_insert_into_cancel();
END;
CREATE TRIGGER job_of_task_insert_guard BEFORE INSERT ON job WHEN NEW.task_id IS NOT NULL OR NEW.task_hold BEGIN
  SELECT RAISE(ABORT, 'tenure: a task makes its own jobs; leave out task_id and task_hold (tenure task start)')
    WHERE NOT EXISTS (SELECT 1 FROM task WHERE id = NEW.task_id AND state = 'running' AND job_id IS NULL AND stop_at IS NULL);
END;
CREATE TRIGGER job_of_task_guard BEFORE UPDATE OF state ON job
WHEN NEW.task_id IS NOT NULL AND NEW.state IS NOT OLD.state AND NEW.state IN ('queued', 'running') BEGIN
  SELECT RAISE(ABORT, 'tenure: the task of this job has ended or was asked to stop')
    WHERE NOT EXISTS (SELECT 1 FROM task WHERE id = NEW.task_id AND state = 'running' AND stop_at IS NULL);
END;
CREATE TRIGGER task_enters AFTER INSERT ON task BEGIN
  INSERT INTO task_tally VALUES (NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER task_is_counted AFTER UPDATE OF state ON task WHEN OLD.state IS NOT NEW.state BEGIN
  INSERT INTO task_tally VALUES (OLD.state, -1) ON CONFLICT DO UPDATE SET n = n - 1;
  INSERT INTO task_tally VALUES (NEW.state, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER task_leaves AFTER DELETE ON task BEGIN
  INSERT INTO task_tally VALUES (OLD.state, -1) ON CONFLICT DO UPDATE SET n = n - 1;
END;
CREATE TRIGGER task_step_is_an_event AFTER INSERT ON task_step BEGIN
  INSERT INTO event (job_id, kind, detail, at)
    SELECT NEW.job_id, 'stage_entered', 'stage ' || NEW.stage || ' of task ' || NEW.task_id || ' (pipeline ' || pipeline || ')', NEW.entered_at
      FROM task WHERE id = NEW.task_id;
END;
CREATE TRIGGER task_step_end_is_an_event AFTER UPDATE OF outcome ON task_step WHEN NEW.outcome = 'advanced' BEGIN
  INSERT INTO event (job_id, kind, detail, at)
    VALUES (NEW.job_id, 'stage_left', 'task ' || NEW.task_id || ' was advanced out of stage ' || NEW.stage, NEW.ended_at);
END;
CREATE TRIGGER task_stop_is_an_event AFTER UPDATE OF stop_at ON task WHEN OLD.stop_at IS NULL AND NEW.stop_at IS NOT NULL AND NEW.job_id IS NOT NULL BEGIN
  INSERT INTO event (job_id, kind, detail, at) VALUES (NEW.job_id, 'task_stop_asked', NEW.stop_why, NEW.stop_at);
END;
CREATE TRIGGER task_hold_is_an_event AFTER UPDATE OF held ON task WHEN OLD.held IS NOT NEW.held AND NEW.job_id IS NOT NULL BEGIN
  INSERT INTO event (job_id, kind) VALUES (NEW.job_id, CASE WHEN NEW.held THEN 'task_held' ELSE 'task_released' END);
END;
CREATE VIEW jobs AS
  SELECT j.id, j.command,
         CASE WHEN j.state = 'queued' AND c.id IS NOT NULL THEN 'cancelled' ELSE j.state END AS state,
         CASE WHEN c.id IS NULL THEN j.hold END AS hold,
         CASE WHEN j.state = 'queued' AND c.id IS NOT NULL THEN 'cancelled' ELSE j.reason END AS reason,
         j.queue, j.lane, j.priority, j.label, j.cwd, j.available_at, j.run_id, j.pid, j.started_at, j.finished_at,
         j.attempts, j.max_attempts, j.created_at, j.unique_key, j.exit_code, j.signal, j.error,
         c.id IS NOT NULL AS cancelling
    FROM job j LEFT JOIN cancel c ON c.job_id = j.id AND c.closed_at IS NULL;
CREATE VIEW runs AS
  SELECT id, job_id, kind, attempt, pid, started_at, exited_at, finished_at, outcome, reason, exit_code, signal, error,
         max_rss_bytes, user_ms, system_ms FROM run;
CREATE VIEW history AS
  SELECT id, at, job_id, run_id, kind, reason, detail FROM event;
CREATE VIEW schedules AS
  SELECT s.id, s.name, s.cron, s.zone, s.catch_up, s.catch_up_max, s.paused, s.paused_at,
         CASE WHEN s.paused = 0 THEN s.next_at END AS next_at,
         (SELECT max(at) FROM slot WHERE schedule_id = s.id AND state = 'fired') AS last_at,
         (SELECT job_id FROM slot WHERE schedule_id = s.id AND state = 'fired' ORDER BY at DESC LIMIT 1) AS last_job,
         s.created_at, s.last_error
    FROM schedule s;
CREATE VIEW tasks AS
  SELECT id, pipeline, key, state, stage, job_id, params, error, created_at, finished_at, stop_at IS NOT NULL AS stopping, stop_why, held
    FROM task;
CREATE VIEW task_steps AS
  SELECT task_id, seq, stage, job_id, entered_at, ended_at, outcome FROM task_step;
COMMIT;
