PRAGMA application_id = 1413828181;
PRAGMA user_version = 14;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES('created_at','1795762636076');
INSERT INTO meta VALUES('file_id','fdd94cdf97d29a2bb9240edb09f9157d');
INSERT INTO meta VALUES('generation','3');
INSERT INTO meta VALUES('moves','0');
INSERT INTO meta VALUES('run_id_limit','129');
CREATE TABLE counter (
  name    TEXT PRIMARY KEY,
  n       INTEGER NOT NULL DEFAULT 0,
  last_at INTEGER,
  note    TEXT
) STRICT, WITHOUT ROWID;
INSERT INTO counter VALUES('lost_total',1,1795762638989,NULL);
INSERT INTO counter VALUES('tasks_done',1,NULL,NULL);
INSERT INTO counter VALUES('tasks_failed',1,NULL,NULL);
INSERT INTO counter VALUES('tasks_running',2,NULL,NULL);
INSERT INTO counter VALUES('torn_down_total',1,1795762637247,'resource 1');
CREATE TABLE queue (
  name           TEXT PRIMARY KEY,
  slots          INTEGER,
  paused         INTEGER NOT NULL DEFAULT 0,
  on_failure     TEXT    NOT NULL DEFAULT 'none',
  paused_by      INTEGER,
  paused_at      INTEGER,
  max_runtime_ms INTEGER,
  head_priority  INTEGER,
  head_rank      REAL,
  head_id        INTEGER,
  is_full        INTEGER NOT NULL DEFAULT 0,
  CONSTRAINT queue_name_is_short        CHECK (length(name) BETWEEN 1 AND 200 AND length(CAST(name AS BLOB)) <= 800),
  CONSTRAINT queue_slots_not_negative   CHECK (slots IS NULL OR slots >= 0),
  CONSTRAINT queue_paused_is_a_flag     CHECK (paused IN (0, 1)),
  CONSTRAINT queue_on_failure_is_known  CHECK (on_failure IN ('none', 'pause')),
  CONSTRAINT queue_max_runtime_positive CHECK (max_runtime_ms IS NULL OR max_runtime_ms > 0),
  CONSTRAINT queue_is_full_is_a_flag    CHECK (is_full IN (0, 1))
) STRICT, WITHOUT ROWID;
INSERT INTO queue VALUES('default',NULL,0,'none',NULL,NULL,NULL,0,14.5,24,0);
INSERT INTO queue VALUES('night',3,0,'none',NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO queue VALUES('slow',NULL,1,'pause',NULL,NULL,NULL,0,22.0,22,0);
CREATE TABLE pause (
  at INTEGER PRIMARY KEY NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
  CONSTRAINT pause_at_not_negative CHECK (at >= 0)
) STRICT, WITHOUT ROWID;
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
INSERT INTO lane VALUES('array-3e39f617f0b940f7d4ba6ea12498515e',2,1,1);
INSERT INTO lane VALUES('db',1,1,0);
CREATE TABLE pool (
  name    TEXT PRIMARY KEY,
  size    INTEGER NOT NULL,
  head_id INTEGER,
  CONSTRAINT pool_name_is_a_word  CHECK (length(name) <= 64 AND name GLOB '[a-z]*' AND name NOT GLOB '*[^a-z0-9_]*'),
  CONSTRAINT pool_size_is_a_count CHECK (size BETWEEN 0 AND 10000)
) STRICT, WITHOUT ROWID;
INSERT INTO pool VALUES('gpu',2,15);
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
INSERT INTO pool_use VALUES(15,'gpu',1,'default','',0,15.0,1);
CREATE TABLE pool_unit (
  pool   TEXT    NOT NULL,
  unit   INTEGER NOT NULL,
  job_id INTEGER NOT NULL,
  PRIMARY KEY (pool, unit)
) STRICT, WITHOUT ROWID;
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
INSERT INTO job VALUES(1,'["true"]','done','exit','default',NULL,0,1,NULL,'ok','/',0,1,NULL,1795762637077,1795762637077,1,1,1795762636175,NULL,NULL,NULL,NULL,'{}','{}',0,0,'exit',0,NULL,NULL,NULL,NULL,0,NULL,0,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(2,'["false"]','failed','exit','default',NULL,0,1,NULL,'bad','/',0,29,NULL,1795762638001,1795762638001,1,1,1795762636226,NULL,NULL,NULL,NULL,'{}','{}',0,0,'exit',1,NULL,'exit status 1',NULL,NULL,0,NULL,0,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(3,'["sh","-c","exit $((2 - TENURE_ATTEMPT))"]','done','exit','default',NULL,0,1,NULL,'again','/',1795762637126,7,NULL,1795762637139,1795762637144,2,2,1795762636281,NULL,NULL,NULL,NULL,'{}','{"backoff_ms":[0,0]}',0,0,'exit',0,NULL,NULL,NULL,NULL,0,NULL,0,0,0,0,1795762637126,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(4,'["true"]','done','exit','default',NULL,0,1,NULL,'checked','/',0,4,NULL,1795762637118,1795762637128,1,1,1795762636334,NULL,NULL,NULL,NULL,'{}','{"check":["/bin/sh","-c","true"]}',0,0,'exit',0,NULL,NULL,NULL,NULL,0,NULL,0,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(5,'["sh","-c","kill -9 $$"]','failed','signal','default',NULL,0,1,NULL,'signal','/',0,6,NULL,1795762637139,1795762637641,1,1,1795762636386,NULL,NULL,NULL,NULL,'{}','{}',0,0,'signal',NULL,9,'killed by signal 9',NULL,NULL,0,NULL,0,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(6,'["sh","-c","exit 75"]','failed','exit','default',NULL,0,1,NULL,'later','/',1795762637153,10,NULL,1795762637182,1795762637183,1,1,1795762636446,NULL,NULL,NULL,NULL,'{}','{"backoff_ms":[0,0],"max_deferrals":1}',1,0,'exit',75,NULL,'exit status 75: not now',NULL,NULL,0,NULL,0,0,0,0,1795762637153,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(7,'["true"]','failed','dependency','default',NULL,0,1,NULL,'needs','/',0,NULL,NULL,NULL,1795762637080,0,1,1795762636502,NULL,NULL,NULL,NULL,'{}','{}',0,0,NULL,NULL,NULL,'job 2 ended as failed (exit), and this one waits for it to be done',NULL,NULL,0,NULL,0,0,1,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(8,'["true"]','done','exit','default',NULL,0,1,NULL,'rise','/',0,9,NULL,1795762637157,1795762637158,1,1,1795762636562,NULL,NULL,NULL,NULL,'{}','{}',0,0,'exit',0,NULL,NULL,NULL,NULL,0,NULL,0,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(9,'["/does/not/exist"]','failed','spawn','default',NULL,0,1,NULL,'noexec','/',0,11,NULL,1795762637184,1795762637193,1,1,1795762636622,NULL,NULL,NULL,NULL,'{}','{}',0,0,'spawn',NULL,NULL,'execve /does/not/exist: No such file or directory; /does does not exist; correct the path, or make its directory before the job starts',NULL,NULL,0,NULL,0,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(10,'["true"]','done','exit','default',NULL,0,1,NULL,'space','',0,12,NULL,1795762637224,1795762637225,1,1,1795762636674,NULL,NULL,NULL,NULL,'{}','{"workspace":{"key":"app","prepare":["/bin/sh","-c","touch made"]}}',0,0,'exit',0,NULL,NULL,NULL,NULL,0,NULL,0,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(11,'["true"]','done','exit','default',NULL,0,1,NULL,'outside','/',0,14,NULL,1795762637232,1795762637233,1,1,1795762636746,NULL,NULL,NULL,NULL,'{}','{}',0,0,'exit',0,NULL,NULL,NULL,NULL,0,NULL,0,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(12,'["true","1"]','done','exit','default',NULL,0,1,NULL,'ship/build','/',0,15,NULL,1795762637237,1795762637238,1,1,1795762636837,NULL,NULL,NULL,NULL,'{"TENURE_PARAM_version":"1","TENURE_STAGE":"build","TENURE_TASK":"1"}','{}',0,0,'exit',0,NULL,NULL,NULL,NULL,0,1,0,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(13,'["true","1"]','done','exit','default',NULL,0,1,NULL,'ship/publish','/',0,17,NULL,1795762637247,1795762637248,1,1,1795762637239,NULL,NULL,NULL,NULL,'{"TENURE_PARAM_version":"1","TENURE_STAGE":"publish","TENURE_TASK":"1"}','{}',0,0,'exit',0,NULL,NULL,NULL,NULL,0,1,0,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(14,'["true"]','cancelled','cancelled','night',NULL,0,1,NULL,'gone','/',0,NULL,NULL,NULL,1795762638152,0,1,1795762638102,NULL,NULL,NULL,NULL,'{}','{}',0,0,NULL,NULL,NULL,'cancelled while it waited: not needed',NULL,NULL,0,NULL,0,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(15,'["true","2"]','queued',NULL,'default',NULL,0,1,'{"gpu": 1}','ship/build','/',0,NULL,NULL,NULL,NULL,0,1,1795762638405,NULL,NULL,NULL,NULL,'{"TENURE_PARAM_version":"2","TENURE_STAGE":"build","TENURE_TASK":"2"}','{}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,2,0,0,0,0,0,0,1,0,0,NULL,NULL);
INSERT INTO job VALUES(16,'["true","3"]','queued',NULL,'default',NULL,0,1,NULL,'ship/build','/',0,NULL,NULL,NULL,NULL,0,1,1795762638460,NULL,NULL,NULL,NULL,'{"TENURE_PARAM_version":"3","TENURE_STAGE":"build","TENURE_TASK":"3"}','{}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,3,1,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(17,'["echo","first in lane"]','running',NULL,'default','db',0,1,NULL,'first','/',0,30,999999,1795762638989,NULL,1,1,1795762638574,NULL,'k1',NULL,NULL,'{}','{}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,0,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(18,'["echo","second"]','queued',NULL,'default','db',0,1,NULL,NULL,'/',0,NULL,NULL,NULL,NULL,0,1,1795762638620,NULL,NULL,NULL,NULL,'{}','{}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,0,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(19,'["sh","-c","echo $A"]','queued',NULL,'default',NULL,3,1,NULL,NULL,'/',0,NULL,NULL,NULL,NULL,0,3,1795762638686,NULL,NULL,NULL,NULL,'{"A":"b"}','{"timeout_ms":3600000}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,0,0,0,1,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(20,'["true"]','queued',NULL,'default',NULL,0,1,NULL,NULL,'/',0,NULL,NULL,NULL,NULL,0,1,1795762638738,NULL,NULL,NULL,NULL,'{}','{}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,0,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(21,'["true"]','queued',NULL,'default',NULL,0,1,NULL,NULL,'/',1893456000000,NULL,NULL,NULL,NULL,0,1,1795762638794,NULL,NULL,NULL,NULL,'{}','{}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,0,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(22,'["true"]','queued',NULL,'slow',NULL,0,1,NULL,NULL,'/',0,NULL,NULL,NULL,NULL,0,1,1795762638854,NULL,NULL,NULL,NULL,'{}','{}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,0,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(23,'["true"]','running',NULL,'default','array-3e39f617f0b940f7d4ba6ea12498515e',0,1,NULL,NULL,'/',0,31,999998,1795762638989,NULL,1,1,1795762638962,NULL,NULL,0,NULL,'{}','{}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,0,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(24,'["true"]','queued',NULL,'default','array-3e39f617f0b940f7d4ba6ea12498515e',0,1,NULL,NULL,'/',0,NULL,NULL,NULL,NULL,0,1,1795762638962,NULL,NULL,1,NULL,'{}','{}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,0,0,0,0,0,0,0,1,0,14.5,NULL);
INSERT INTO job VALUES(25,'["true"]','queued',NULL,'default','array-3e39f617f0b940f7d4ba6ea12498515e',0,1,NULL,NULL,'/',0,NULL,NULL,NULL,NULL,0,1,1795762638962,NULL,NULL,2,NULL,'{}','{}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,0,0,0,0,0,0,0,0,0,NULL,NULL);
INSERT INTO job VALUES(26,'["true"]','queued',NULL,'default',NULL,0,1,NULL,'waits','/',0,NULL,NULL,NULL,NULL,0,1,1795762639003,NULL,NULL,NULL,NULL,'{}','{}',0,0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,0,1,0,0,0,0,0,0,0,NULL,NULL);
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
INSERT INTO run VALUES(1,1,'job',NULL,NULL,NULL,NULL,NULL,1,'bd2c0e1cd4e050ba3c5cf77e53c84cf4','57640cc409e43c052a4ff8f231591614','d80d7948-66f2-448b-bfae-529de6eea93f',1795762637068,9148,1795762637077,1795762637077,1795762637092,'done','exit',0,NULL,NULL,NULL,11452416,1,0,0,14,19);
INSERT INTO run VALUES(2,2,'job',NULL,NULL,NULL,NULL,NULL,1,'35b0931f48eb62f6faa2e60e62e01ffa','57640cc409e43c052a4ff8f231591614','d80d7948-66f2-448b-bfae-529de6eea93f',1795762637068,9150,1795762637078,1795762637078,1795762637080,'failed','exit',1,NULL,'exit status 1',NULL,11452416,0,0,0,15,NULL);
INSERT INTO run VALUES(3,3,'job',NULL,NULL,NULL,NULL,NULL,1,'f546ba9686fe6f172b85a484fdfe9188','57640cc409e43c052a4ff8f231591614','d80d7948-66f2-448b-bfae-529de6eea93f',1795762637080,9154,1795762637117,1795762637118,1795762637126,'failed','exit',1,NULL,'exit status 1',NULL,11583488,1,0,0,18,NULL);
INSERT INTO run VALUES(4,4,'job',NULL,NULL,NULL,NULL,NULL,1,'25bde8fca3fe495607c330db3a2e41b6','57640cc409e43c052a4ff8f231591614','d80d7948-66f2-448b-bfae-529de6eea93f',1795762637092,9152,1795762637118,1795762637118,1795762637136,'done','exit',0,NULL,NULL,NULL,11452416,1,0,0,20,23);
INSERT INTO run VALUES(5,4,'check',4,NULL,NULL,NULL,NULL,1,'16b8d89138392d753ea11adc23a9a778','57640cc409e43c052a4ff8f231591614','d80d7948-66f2-448b-bfae-529de6eea93f',1795762637124,9156,1795762637128,1795762637128,1795762637128,'done','exit',0,NULL,NULL,NULL,11583488,0,0,0,0,NULL);
INSERT INTO run VALUES(6,5,'job',NULL,NULL,NULL,NULL,NULL,1,'46a6a67f99bbba825bbb28c4013d4d3a','57640cc409e43c052a4ff8f231591614','d80d7948-66f2-448b-bfae-529de6eea93f',1795762637126,9160,1795762637139,1795762637641,1795762637641,'failed','signal',NULL,9,'killed by signal 9',NULL,11513856,0,0,0,22,NULL);
INSERT INTO run VALUES(7,3,'job',NULL,NULL,NULL,NULL,NULL,2,'322b7bcad31b04ae4de4ef00d4ad9b73','57640cc409e43c052a4ff8f231591614','d80d7948-66f2-448b-bfae-529de6eea93f',1795762637136,9159,1795762637139,1795762637144,1795762637145,'done','exit',0,NULL,NULL,NULL,11517952,1,0,0,24,25);
INSERT INTO run VALUES(8,6,'job',NULL,NULL,NULL,NULL,NULL,1,'888cfc6d8e8f0ee7bb24c4309d629de4','57640cc409e43c052a4ff8f231591614','d80d7948-66f2-448b-bfae-529de6eea93f',1795762637145,9162,1795762637152,1795762637153,1795762637153,'deferred','exit',75,NULL,'exit status 75: not now',NULL,11448320,1,0,0,26,NULL);
INSERT INTO run VALUES(9,8,'job',NULL,NULL,NULL,NULL,NULL,1,'e75a3a93f6da4881fe5c56cb84209a9a','57640cc409e43c052a4ff8f231591614','d80d7948-66f2-448b-bfae-529de6eea93f',1795762637153,9164,1795762637157,1795762637158,1795762637176,'done','exit',0,NULL,NULL,NULL,11579392,0,0,0,28,29);
INSERT INTO run VALUES(10,6,'job',NULL,NULL,NULL,NULL,NULL,1,'9cbe4bc5f9681225f3bcf2f161d4af2d','57640cc409e43c052a4ff8f231591614','d80d7948-66f2-448b-bfae-529de6eea93f',1795762637176,9166,1795762637182,1795762637183,1795762637184,'deferred','exit',75,NULL,'exit status 75: not now',NULL,11448320,1,0,0,30,NULL);
INSERT INTO run VALUES(11,9,'job',NULL,NULL,NULL,NULL,NULL,1,'4a19df0ad5121f2e73fea4798aa44d4d','57640cc409e43c052a4ff8f231591614','d80d7948-66f2-448b-bfae-529de6eea93f',1795762637184,NULL,NULL,NULL,1795762637193,'failed','spawn',NULL,NULL,'execve /does/not/exist: No such file or directory; /does does not exist; correct the path, or make its directory before the job starts',NULL,NULL,NULL,NULL,0,32,NULL);
INSERT INTO run VALUES(12,10,'job',NULL,NULL,NULL,NULL,NULL,1,'0cb74afe3b906d55538de32575285228','57640cc409e43c052a4ff8f231591614','d80d7948-66f2-448b-bfae-529de6eea93f',1795762637193,9173,1795762637224,1795762637225,1795762637225,'done','exit',0,NULL,NULL,NULL,11448320,0,0,0,34,38);
INSERT INTO run VALUES(13,10,'prepare',12,NULL,NULL,'app',NULL,1,'e1a4fdd702b1dfba5c0f5384aa2e79f8','57640cc409e43c052a4ff8f231591614','d80d7948-66f2-448b-bfae-529de6eea93f',1795762637195,9170,1795762637209,1795762637216,1795762637217,'done','exit',0,NULL,NULL,NULL,11579392,2,0,0,0,NULL);
INSERT INTO run VALUES(14,11,'job',NULL,NULL,NULL,NULL,NULL,1,'595faf8255fd567b69a6d76fae317930','57640cc409e43c052a4ff8f231591614','d80d7948-66f2-448b-bfae-529de6eea93f',1795762637225,9175,1795762637232,1795762637233,1795762637233,'done','exit',0,NULL,NULL,NULL,11448320,0,0,0,39,41);
INSERT INTO run VALUES(15,12,'job',NULL,NULL,NULL,NULL,NULL,1,'6fc0476208d633dd2ee6c94d56456c7f','57640cc409e43c052a4ff8f231591614','d80d7948-66f2-448b-bfae-529de6eea93f',1795762637233,9179,1795762637237,1795762637238,1795762637239,'done','exit',0,NULL,NULL,NULL,11579392,1,0,0,42,43);
INSERT INTO run VALUES(16,NULL,'teardown',NULL,1,NULL,NULL,NULL,1,'279834374801ba02fae3a99fc9830f41','57640cc409e43c052a4ff8f231591614','d80d7948-66f2-448b-bfae-529de6eea93f',1795762637236,9180,1795762637245,1795762637246,1795762637247,'done','exit',0,NULL,NULL,NULL,11579392,0,0,0,0,NULL);
INSERT INTO run VALUES(17,13,'job',NULL,NULL,NULL,NULL,NULL,1,'f06749122220867f906b45e325605e04','57640cc409e43c052a4ff8f231591614','d80d7948-66f2-448b-bfae-529de6eea93f',1795762637239,9182,1795762637247,1795762637248,1795762637248,'done','exit',0,NULL,NULL,NULL,11579392,0,0,0,46,48);
INSERT INTO run VALUES(29,2,'job',NULL,NULL,NULL,NULL,NULL,1,'46992fa729abdd271233112dc92e66ab','38a5150101f0c6bf343e03b7a9b0cf00','d80d7948-66f2-448b-bfae-529de6eea93f',1795762637989,9207,1795762638001,1795762638001,1795762638002,'failed','exit',1,NULL,'exit status 1',NULL,11661312,0,0,0,51,NULL);
INSERT INTO run VALUES(30,17,'job',NULL,NULL,NULL,NULL,'app-0cb74afe',1,'c332c6a00a7a6ae09161acf96359d0ba','w','d80d7948-66f2-448b-bfae-529de6eea93f',1795762638989,999999,1795762638992,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,72,NULL);
INSERT INTO run VALUES(31,23,'job',NULL,NULL,NULL,NULL,NULL,1,'3b21dda4b4715c5a8239b80d18ad06a4','w','d80d7948-66f2-448b-bfae-529de6eea93f',1795762638989,999998,1795762638992,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,73,NULL);
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
INSERT INTO dependency VALUES(7,2,'done','broken');
INSERT INTO dependency VALUES(8,2,'failed','met');
INSERT INTO dependency VALUES(26,22,'done','unmet');
CREATE TABLE unresolved (
  job_id INTEGER PRIMARY KEY NOT NULL
) STRICT;
INSERT INTO unresolved VALUES(2);
CREATE TABLE cancel (
  id        INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  job_id    INTEGER NOT NULL,
  run_id    INTEGER,
  at        INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
  why       TEXT,
  closed_at INTEGER,
  CONSTRAINT cancel_why_is_short CHECK (why IS NULL OR length(CAST(why AS BLOB)) <= 4000)
) STRICT;
INSERT INTO cancel VALUES(1,14,NULL,1795762638152,'not needed',1795762638152);
INSERT INTO cancel VALUES(2,23,31,1795762639492,'no longer wanted',NULL);
INSERT INTO cancel VALUES(3,24,NULL,1795762639492,NULL,NULL);
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
INSERT INTO suspend VALUES(1,17,30,1795874793373,'until the disk is larger',NULL,NULL,NULL,NULL);
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
INSERT INTO event VALUES(12,1795762636810,11,NULL,'resource_held',NULL,'vm-1');
INSERT INTO event VALUES(14,1795762636837,12,NULL,'stage_entered',NULL,'stage build of task 1 (pipeline ship)');
INSERT INTO event VALUES(17,1795762637082,2,2,'failed','exit','exit status 1');
INSERT INTO event VALUES(18,1795762637101,7,NULL,'failed','dependency','job 2 ended as failed (exit), and this one waits for it to be done');
INSERT INTO event VALUES(22,1795762637130,3,3,'requeued','exit','exit status 1');
INSERT INTO event VALUES(28,1795762637152,6,8,'requeued','exit','exit status 75: not now');
INSERT INTO event VALUES(32,1795762637184,6,10,'failed','exit','exit status 75: not now');
INSERT INTO event VALUES(34,1795762637192,9,11,'failed','spawn','execve /does/not/exist: No such file or directory; /does does not exist; correct the path, or make its directory before the job starts');
INSERT INTO event VALUES(36,1795762637195,10,13,'lease_taken',NULL,'workspace/app');
INSERT INTO event VALUES(37,1795762637195,10,13,'preparing',NULL,'workspace app');
INSERT INTO event VALUES(38,1795762637216,10,12,'prepared',NULL,'workspace app');
INSERT INTO event VALUES(41,1795762637233,11,NULL,'resource_releasing',NULL,'vm-1');
INSERT INTO event VALUES(46,1795762637239,13,NULL,'stage_entered',NULL,'stage publish of task 1 (pipeline ship)');
INSERT INTO event VALUES(48,1795762637247,11,NULL,'resource_released',NULL,'vm-1 (teardown)');
INSERT INTO event VALUES(50,1795762637641,5,6,'failed','signal','killed by signal 9');
INSERT INTO event VALUES(51,1795762637820,2,2,'retried',NULL,NULL);
INSERT INTO event VALUES(53,1795762638005,2,29,'failed','exit','exit status 1');
INSERT INTO event VALUES(55,1795762638152,14,NULL,'cancel_asked',NULL,'not needed');
INSERT INTO event VALUES(56,1795762638154,14,NULL,'cancelled','cancelled','cancelled while it waited: not needed');
INSERT INTO event VALUES(58,1795762638405,15,NULL,'stage_entered',NULL,'stage build of task 2 (pipeline ship)');
INSERT INTO event VALUES(60,1795762638460,16,NULL,'stage_entered',NULL,'stage build of task 3 (pipeline ship)');
INSERT INTO event VALUES(61,1795762638520,16,NULL,'task_held',NULL,NULL);
INSERT INTO event VALUES(72,1795762639090,19,NULL,'resource_held',NULL,'vm-2');
INSERT INTO event VALUES(75,1795762639492,23,31,'cancel_asked',NULL,'no longer wanted');
INSERT INTO event VALUES(76,1795762639492,24,NULL,'cancel_asked',NULL,NULL);
INSERT INTO event VALUES(77,1795762639493,17,30,'resource_held',NULL,'dir');
INSERT INTO event VALUES(78,1795762639495,19,NULL,'resource_held',NULL,'late');
INSERT INTO event VALUES(79,1795762639496,19,NULL,'resource_releasing',NULL,'late');
INSERT INTO event VALUES(80,1795874793373,17,30,'suspend_asked',NULL,'until the disk is larger');
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
INSERT INTO tally VALUES('done','','default',8);
INSERT INTO tally VALUES('failed','','default',5);
INSERT INTO tally VALUES('queued','','default',2);
INSERT INTO tally VALUES('queued','dependency','default',1);
INSERT INTO tally VALUES('queued','lane','default',2);
INSERT INTO tally VALUES('queued','resource','default',1);
INSERT INTO tally VALUES('queued','task','default',1);
INSERT INTO tally VALUES('queued','time','default',1);
INSERT INTO tally VALUES('queued','user','default',1);
INSERT INTO tally VALUES('running','','default',2);
INSERT INTO tally VALUES('cancelled','','night',1);
INSERT INTO tally VALUES('queued','','night',0);
INSERT INTO tally VALUES('queued','','slow',1);
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
INSERT INTO lease VALUES('workspace/other','9a8261b2fc32661c10cb3c98099c2421',30,17,NULL,'["make"]',NULL,'d80d7948-66f2-448b-bfae-529de6eea93f',1795762638989);
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
INSERT INTO workspace VALUES('app','app-0cb74afe','["/bin/sh","-c","touch made"]',4096,1795762637216,1795762637225,1795762637984,'d80d7948-66f2-448b-bfae-529de6eea93f',1);
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
INSERT INTO resource VALUES(1,'vm-1','released',NULL,11,NULL,'["/bin/sh","-c","true"]',NULL,'/','{}',NULL,0,NULL,0,0,0,NULL,1795762636810,1795762637233,1795762637247,'teardown');
INSERT INTO resource VALUES(2,'vm-2','held',NULL,19,NULL,'["/bin/sh","-c","true"]','["/bin/sh","-c","exit 1"]','/','{"A":"b"}',NULL,0,NULL,0,0,0,NULL,1795762639090,NULL,NULL,NULL);
INSERT INTO resource VALUES(3,'dir','held',30,NULL,NULL,'["true"]',NULL,'/','{}',NULL,0,NULL,0,0,0,NULL,1795762639493,NULL,NULL,NULL);
INSERT INTO resource VALUES(4,'late','releasing',NULL,19,NULL,'["false"]','["false"]','/','{}',NULL,0,NULL,0,0,0,NULL,1795762639495,1795762639496,NULL,NULL);
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
INSERT INTO schedule VALUES(1,'nightly','0 3 * * *','UTC','latest',100,0,NULL,NULL,'{"command":["true"],"queue":"default","label":"nightly","cwd":"/","max_attempts":1,"policy":{}}',1795762639060,1795834800000,0,1795762639060,NULL,'allow',0,NULL);
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
INSERT INTO occurrence VALUES(1,1000,2000,3,'skipped','missed',NULL,1795762638989,0,1);
INSERT INTO occurrence VALUES(1,3000,3000,1,'fired',NULL,1,1795762638989,0,1);
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
INSERT INTO pipeline VALUES(1,'ship',1,'{"start":"build","max_rounds":3,"stages":{"build":{"job":{"command":["true","{version}"],"has_places":true,"queue":"default","cwd":"/","max_attempts":1,"policy":{}},"on_success":"publish","critical":false},"publish":{"job":{"command":["true","{version}"],"has_places":true,"queue":"default","cwd":"/","max_attempts":1,"policy":{}},"critical":false}}}',1795762636128);
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
INSERT INTO task VALUES(1,1,'ship','v1','done','publish',13,'{"version":"1"}',NULL,1795762636837,1795762637248,NULL,NULL,0);
INSERT INTO task VALUES(2,1,'ship','v2','running','build',15,'{"version":"2"}',NULL,1795762638405,NULL,NULL,NULL,0);
INSERT INTO task VALUES(3,1,'ship','v3','running','build',16,'{"version":"3"}',NULL,1795762638460,NULL,NULL,NULL,1);
INSERT INTO task VALUES(4,1,'ship','v0','failed','build',NULL,'{}','x',1,5,NULL,NULL,0);
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
INSERT INTO task_step VALUES(1,1,'build',12,1795762636837,1795762637239,'done');
INSERT INTO task_step VALUES(1,2,'publish',13,1795762637239,1795762637248,'done');
INSERT INTO task_step VALUES(2,1,'build',15,1795762638405,NULL,NULL);
INSERT INTO task_step VALUES(3,1,'build',16,1795762638460,NULL,NULL);
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
INSERT INTO hook_rule VALUES('r','on_failure','["true"]',NULL,NULL,NULL);
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
INSERT INTO hook VALUES(1,1,NULL,NULL,'on_end','["true"]','done',NULL,NULL,NULL,NULL,NULL,5,NULL,0,0,NULL,'done',6);
CREATE TABLE receipt (
  sent   INTEGER NOT NULL,
  token  BLOB    NOT NULL,
  answer TEXT    NOT NULL,
  PRIMARY KEY (sent, token),
  CONSTRAINT receipt_token_has_16_bytes  CHECK (length(token) = 16),
  CONSTRAINT receipt_answer_is_an_object CHECK (json_valid(answer) AND json_type(answer) = 'object')
) STRICT, WITHOUT ROWID;
INSERT INTO receipt VALUES(1000,X'00112233445566778899aabbccddeeff','{"jobs":[1]}');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('job',26);
INSERT INTO sqlite_sequence VALUES('cancel',3);
INSERT INTO sqlite_sequence VALUES('event',80);
INSERT INTO sqlite_sequence VALUES('resource',4);
INSERT INTO sqlite_sequence VALUES('schedule',1);
INSERT INTO sqlite_sequence VALUES('pipeline',1);
INSERT INTO sqlite_sequence VALUES('task',4);
INSERT INTO sqlite_sequence VALUES('hook',1);
CREATE INDEX queue_next ON queue (head_priority DESC, head_rank, head_id)
  WHERE head_id IS NOT NULL AND paused = 0 AND is_full = 0;
CREATE TRIGGER queue_insert_guard BEFORE INSERT ON queue BEGIN
  SELECT RAISE(ABORT, 'tenure: the name of a queue has 1 to 200 characters and at most 800 bytes')
   WHERE length(NEW.name) NOT BETWEEN 1 AND 200 OR length(CAST(NEW.name AS BLOB)) > 800;
  SELECT RAISE(ABORT, 'tenure: slots of a queue must not be negative, paused must be 0 or 1, max_runtime_ms must be positive')
   WHERE NEW.slots < 0 OR NEW.paused NOT IN (0, 1) OR NEW.max_runtime_ms <= 0;
  SELECT RAISE(ABORT, 'tenure: on_failure of a queue is none or pause') WHERE NEW.on_failure NOT IN ('none', 'pause');
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
  SELECT RAISE(ABORT, 'tenure: paused_by and paused_at are derived; to pause or resume a queue UPDATE queue SET paused')
   WHERE ((NEW.paused_by IS NOT NULL AND NEW.paused_by IS NOT OLD.paused_by)
          OR (NEW.paused_at IS NOT NULL AND NEW.paused_at IS NOT OLD.paused_at)) AND NOT sqlite_compileoption_used('TENURE');
END;
CREATE TRIGGER queue_enters AFTER INSERT ON queue BEGIN
  INSERT INTO choose_queue_head (queue) VALUES (NEW.name);
END;
CREATE TRIGGER queue_changes AFTER UPDATE ON queue
WHEN (NEW.head_priority, NEW.head_rank, NEW.head_id, NEW.is_full) IS NOT (OLD.head_priority, OLD.head_rank, OLD.head_id, OLD.is_full) BEGIN
  SELECT RAISE(ABORT, 'tenure: head_id, head_priority, head_rank and is_full are derived; change the jobs or the slots')
   WHERE ((NEW.head_priority, NEW.head_rank, NEW.head_id) IS NOT (OLD.head_priority, OLD.head_rank, OLD.head_id)
          AND (NEW.head_priority, NEW.head_rank, NEW.head_id)
              IS NOT (SELECT head_priority, head_rank, head_id FROM queue_truth WHERE queue = NEW.name))
      OR (NEW.is_full <> OLD.is_full AND NEW.is_full IS NOT (SELECT is_full FROM queue_truth WHERE queue = NEW.name));
END;
CREATE TRIGGER queue_gets_other_slots AFTER UPDATE OF slots ON queue WHEN NEW.slots IS NOT OLD.slots BEGIN
  UPDATE job SET too_wide = NOT too_wide
   WHERE queue = NEW.name AND state = 'queued' AND slots > 1 AND too_wide <> (SELECT too_wide FROM wide_truth WHERE job_id = job.id);
  INSERT INTO choose_queue_head (queue) VALUES (NEW.name);
END;
CREATE TRIGGER queue_resumes AFTER UPDATE OF paused ON queue WHEN NEW.paused = 0 AND NEW.paused_by IS NOT NULL BEGIN
  INSERT INTO event (job_id, kind, detail) VALUES (NEW.paused_by, 'queue_resumed', 'queue ' || NEW.name || ' was resumed');
  UPDATE queue SET paused_by = NULL, paused_at = NULL WHERE name = NEW.name;
END;
CREATE VIEW queue_truth (queue, head_priority, head_rank, head_id, is_full) AS
  SELECT q.name,
         (SELECT priority FROM job WHERE queue = q.name AND state = 'queued' AND hold IS NULL ORDER BY priority DESC, rank, id LIMIT 1),
         (SELECT rank FROM job WHERE queue = q.name AND state = 'queued' AND hold IS NULL ORDER BY priority DESC, rank, id LIMIT 1),
         (SELECT id FROM job WHERE queue = q.name AND state = 'queued' AND hold IS NULL ORDER BY priority DESC, rank, id LIMIT 1),
         CASE WHEN q.slots IS NULL THEN 0 ELSE q.slots < (SELECT taken + wanted FROM queue_load WHERE queue = q.name) END
    FROM queue q;
CREATE VIEW queue_load (queue, taken, wanted) AS
  SELECT q.name,
         coalesce((SELECT n FROM tally WHERE queue = q.name AND state = 'running' AND hold = ''), 0)
         + coalesce((SELECT sum(slots - 1) FROM job WHERE queue = q.name AND state = 'running' AND slots > 1), 0),
         coalesce((SELECT slots FROM job WHERE id = q.head_id), 1)
    FROM queue q;
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
CREATE TRIGGER pause_insert_guard BEFORE INSERT ON pause BEGIN
  SELECT RAISE(ABORT, 'tenure: at is in milliseconds since 1970 and must not be negative; omit it') WHERE NEW.at < 0;
  SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM pause);
END;
CREATE TRIGGER pause_update_guard BEFORE UPDATE ON pause BEGIN
  SELECT RAISE(ABORT, 'tenure: a pause does not change; DELETE FROM pause to resume');
END;
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
CREATE INDEX pool_use_waits ON pool_use (pool, queue, lane, priority DESC, rank, job_id) WHERE waits = 1;
CREATE INDEX pool_use_of    ON pool_use (pool, amount);
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
CREATE TRIGGER queue_opens_or_closes AFTER UPDATE OF paused, slots ON queue
WHEN (NEW.paused, NEW.slots) IS NOT (OLD.paused, OLD.slots) AND EXISTS (SELECT 1 FROM pool_use WHERE waits = 1) BEGIN
  INSERT INTO choose_pool_head (pool) SELECT name FROM pool;
END;
CREATE TRIGGER lane_opens_or_closes AFTER UPDATE OF max_running ON lane
WHEN NEW.max_running <> OLD.max_running AND EXISTS (SELECT 1 FROM pool_use WHERE waits = 1) BEGIN
  INSERT INTO choose_pool_head (pool) SELECT name FROM pool;
END;
CREATE VIEW pool_use_truth (job_id, pool, amount, queue, lane, priority, rank, waits) AS
  SELECT j.id, u.key, u.value, j.queue, coalesce(j.lane, ''), j.priority, j.rank,
         j.state = 'queued' AND coalesce(j.hold, 'pool') IN ('pool', 'lane')
         AND NOT EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(j.uses) THEN j.uses ELSE '{}' END) o
                          WHERE o.value > coalesce((SELECT size FROM pool WHERE name = o.key), -1))
    FROM job j JOIN json_each(CASE WHEN json_valid(j.uses) THEN j.uses ELSE '{}' END) u
   WHERE j.uses IS NOT NULL AND j.state IN ('queued', 'running') AND u.type = 'integer';
CREATE VIEW admitted_by_pools (job_id) AS
  SELECT j.id FROM job j
   WHERE j.state = 'queued' AND j.uses IS NOT NULL
     AND EXISTS (SELECT 1 FROM pool_use WHERE job_id = j.id AND waits = 1)
     AND NOT EXISTS (SELECT 1 FROM pool_use u LEFT JOIN pool p ON p.name = u.pool
                      WHERE u.job_id = j.id
                        AND (p.head_id IS NOT j.id OR p.size < u.amount + (SELECT count(*) FROM pool_unit WHERE pool = u.pool)));
CREATE VIEW waiting_for_pool (job_id, pool, queue, lane, priority, rank) AS
  SELECT job_id, pool, queue, lane, priority, rank FROM pool_use WHERE waits = 1;
CREATE VIEW worker_scope (key, value) AS
  SELECT key, value FROM meta WHERE key IN ('worker_queues', 'worker_jobs') AND json_valid(value);
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
CREATE VIEW take_units (pool, job_id, amount) AS SELECT NULL, NULL, NULL WHERE 0;
CREATE TRIGGER units_are_taken INSTEAD OF INSERT ON take_units BEGIN
  INSERT INTO pool_unit (pool, unit, job_id)
    SELECT NEW.pool, n, NEW.job_id FROM (
      WITH RECURSIVE unit (n) AS (
        SELECT 0 UNION ALL SELECT n + 1 FROM unit WHERE n + 1 < (SELECT size FROM pool WHERE name = NEW.pool))
      SELECT n FROM unit WHERE NOT EXISTS (SELECT 1 FROM pool_unit WHERE pool = NEW.pool AND unit = n) LIMIT NEW.amount);
END;
CREATE INDEX job_ready      ON job (queue, priority DESC, rank) WHERE state = 'queued' AND hold IS NULL;
CREATE INDEX job_due        ON job (available_at)             WHERE state = 'queued' AND hold = 'time';
CREATE INDEX job_expires    ON job (expires_at)
  WHERE state = 'queued' AND expires_at IS NOT NULL AND attempts = 0 AND deferrals = 0;
CREATE INDEX job_in_lane    ON job (lane, queue, priority DESC, rank)
  WHERE state = 'queued' AND lane IS NOT NULL AND coalesce(hold, 'lane') = 'lane';
CREATE INDEX job_lane_pass  ON job (lane, queue)              WHERE state = 'queued' AND lane_pass = 1;
CREATE INDEX job_moved      ON job (queue, priority, place)   WHERE state = 'queued' AND place IS NOT NULL;
CREATE INDEX job_of_lane    ON job (lane)                     WHERE lane > '';
CREATE INDEX job_wide       ON job (queue, slots)             WHERE state = 'running' AND slots > 1;
CREATE INDEX job_wide_waits ON job (id)                       WHERE state = 'queued' AND slots > 1;
CREATE INDEX job_uses       ON job (id)                       WHERE uses IS NOT NULL AND state IN ('queued', 'running');
CREATE INDEX job_pool_pass  ON job (id)                       WHERE state = 'queued' AND pool_pass = 1;
CREATE INDEX job_by_state   ON job (state, id)                WHERE state <> 'done';
CREATE INDEX job_of_queue   ON job (queue, state, id)         WHERE state <> 'done' AND state <> 'running';
CREATE INDEX job_label      ON job (label, state, id)         WHERE label IS NOT NULL;
CREATE INDEX job_task       ON job (task_id)                  WHERE task_id IS NOT NULL;
CREATE INDEX job_of_owner   ON job (owner, state)             WHERE owner IS NOT NULL;
CREATE INDEX job_ended      ON job (finished_at)              WHERE finished_at IS NOT NULL;
CREATE UNIQUE INDEX job_unique_key ON job (unique_key)
  WHERE unique_key IS NOT NULL AND state IN ('queued', 'running') AND key_taken = 0;
CREATE INDEX job_doomed     ON job (id)                       WHERE state = 'queued' AND broken > 0;
CREATE INDEX job_dependent  ON job (id)                       WHERE state = 'queued' AND hold = 'dependency';
CREATE INDEX job_unreleased ON job (id)                       WHERE state = 'queued' AND unreleased > 0;
CREATE INDEX job_stop_group ON job (stop_group, state, id)    WHERE stop_group IS NOT NULL;
CREATE INDEX job_secrets    ON job (id)
  WHERE state IN ('queued', 'running') AND instr(policy, '"secrets"') + instr(policy, '"kept"') > 0;
CREATE INDEX job_fault      ON job (id)                       WHERE fault IS NOT NULL;
CREATE INDEX job_unreadable ON job (id)
  WHERE NOT (json_valid(command) AND json_valid(env) AND json_valid(policy) AND (uses IS NULL OR json_valid(uses)));
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
END
;
CREATE TRIGGER job_keeps_its_owner BEFORE UPDATE OF owner ON job BEGIN
  SELECT RAISE(ABORT, 'tenure: the owner of a job does not change; use tenure --system add as that user')
   WHERE NEW.owner IS NOT OLD.owner;
END
;
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
END
;
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
END
;
CREATE TRIGGER job_takes_its_key_back BEFORE UPDATE OF state ON job
WHEN NEW.unique_key IS NOT NULL AND NEW.state = 'queued' AND OLD.state IN ('failed', 'cancelled') BEGIN
  UPDATE job SET key_taken = 1
   WHERE unique_key = NEW.unique_key AND unique_key IS NOT NULL AND state IN ('queued', 'running') AND key_taken = 0
     AND EXISTS (SELECT 1 FROM cancel WHERE job_id = job.id AND closed_at IS NULL);
END;
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
CREATE TRIGGER job_client_guard BEFORE UPDATE OF priority, label, available_at, user_hold, expires_at, lane_pass ON job BEGIN
  SELECT RAISE(ABORT, 'tenure: only a queued job can be changed, and this one is running; to end it INSERT INTO cancel (job_id)')
   WHERE OLD.state = 'running' AND NEW.state = 'running';
  SELECT RAISE(ABORT, 'tenure: user_hold and lane_pass are 0 or 1') WHERE NEW.user_hold NOT IN (0, 1) OR NEW.lane_pass NOT IN (0, 1);
  SELECT RAISE(ABORT, 'tenure: available_at is in milliseconds since 1970 and must not be negative') WHERE NEW.available_at < 0;
  SELECT RAISE(ABORT, 'tenure: a label has at most 1000 characters and 4000 bytes')
   WHERE NEW.label IS NOT OLD.label AND (length(NEW.label) > 1000 OR length(CAST(NEW.label AS BLOB)) > 4000);
END;
CREATE TRIGGER job_place_guard BEFORE UPDATE OF place ON job BEGIN
  SELECT RAISE(ABORT, 'tenure: only a queued job can be moved, and this one is running; to end it INSERT INTO cancel (job_id)')
   WHERE OLD.state = 'running';
  SELECT RAISE(ABORT, 'tenure: place of a job is between -4503599627370496 and 4503599627370496; NULL is that of its id')
   WHERE NEW.place NOT BETWEEN -4503599627370496 AND 4503599627370496;
END;
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
CREATE TRIGGER job_delete_guard BEFORE DELETE ON job BEGIN
  SELECT RAISE(ABORT, 'tenure: to end a job INSERT INTO cancel (job_id); use tenure prune to remove ended jobs')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: the job is live; cancel it first') WHERE OLD.state IN ('queued', 'running');
END;
CREATE TRIGGER job_enters AFTER INSERT ON job BEGIN
  SELECT RAISE(ABORT, 'tenure: the file assigns the id; omit it') WHERE NEW.id < 1;
  SELECT RAISE(ABORT,
    'tenure: no ids are left, because sqlite_sequence was changed; a worker repairs that, and so does tenure doctor --fix')
   WHERE NEW.id > 4503599627370496;
  INSERT INTO tally (state, hold, queue, n) VALUES ('queued', coalesce(NEW.hold, ''), NEW.queue, 1) ON CONFLICT DO UPDATE SET n = n + 1;
END
;
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
CREATE TRIGGER job_is_counted
AFTER UPDATE OF state, queue, user_hold, task_hold, unmet, broken, unreleased, available_at, due_seen, too_wide, uses, pool_pass,
                lane, lane_pass ON job
WHEN (OLD.state, OLD.queue, OLD.hold) IS NOT (NEW.state, NEW.queue, NEW.hold) BEGIN
  INSERT INTO tally (state, hold, queue, n) VALUES (OLD.state, coalesce(OLD.hold, ''), OLD.queue, -1)
    ON CONFLICT DO UPDATE SET n = n - 1;
  INSERT INTO tally (state, hold, queue, n) VALUES (NEW.state, coalesce(NEW.hold, ''), NEW.queue, 1)
    ON CONFLICT DO UPDATE SET n = n + 1;
END;
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
CREATE TRIGGER job_takes_other_slots AFTER UPDATE OF state, queue, slots ON job
WHEN (OLD.slots > 1 OR NEW.slots > 1) AND NEW.state = 'queued'
 AND (OLD.state, OLD.queue, OLD.slots) IS NOT (NEW.state, NEW.queue, NEW.slots) BEGIN
  UPDATE job SET too_wide = NOT too_wide WHERE id = NEW.id AND too_wide <> (SELECT too_wide FROM wide_truth WHERE job_id = NEW.id);
END;
CREATE TRIGGER job_moves_in_its_pools
AFTER UPDATE OF state, queue, lane, priority, slots, uses, user_hold, task_hold, unmet, broken, unreleased, available_at, due_seen,
                too_wide ON job
WHEN (OLD.uses IS NOT NULL OR NEW.uses IS NOT NULL)
 AND (OLD.state, OLD.queue, OLD.lane, OLD.priority, OLD.slots, OLD.uses, coalesce(OLD.hold, 'pool') IN ('pool', 'lane'))
     IS NOT (NEW.state, NEW.queue, NEW.lane, NEW.priority, NEW.slots, NEW.uses, coalesce(NEW.hold, 'pool') IN ('pool', 'lane')) BEGIN
  INSERT INTO place_in_pools (job_id, uses) VALUES (NEW.id, OLD.uses);
END;
CREATE TRIGGER job_takes_or_leaves_room AFTER UPDATE OF state ON job
WHEN (OLD.state = 'running') <> (NEW.state = 'running') AND EXISTS (SELECT 1 FROM pool_use WHERE waits = 1) BEGIN
  INSERT INTO choose_pool_head (pool)
    SELECT name FROM pool WHERE NEW.lane IS NOT NULL OR EXISTS (SELECT 1 FROM queue WHERE name = NEW.queue AND slots IS NOT NULL);
END;
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
CREATE VIEW wide_truth (job_id, too_wide) AS
  SELECT j.id,
         j.slots > coalesce((SELECT nullif(slots, 0) FROM queue WHERE name = j.queue), j.slots)
         OR j.slots > coalesce((SELECT nullif(CAST(value AS INTEGER), 0) FROM meta WHERE key = 'worker_slots'), j.slots)
    FROM job j WHERE j.state = 'queued';
CREATE VIEW legal_move (before, after, event) AS VALUES
  ('queued', 'running', 'claimed'), ('running', 'done', 'done'), ('queued', 'cancelled', 'cancelled'), ('queued', 'failed', 'failed'),
  ('running', 'failed', 'failed'), ('running', 'cancelled', 'cancelled'), ('running', 'queued', 'requeued'),
  ('failed', 'queued', 'retried'), ('cancelled', 'queued', 'retried');
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
CREATE INDEX run_of_job         ON run (job_id, id);
CREATE INDEX run_of_resource    ON run (resource_id, id) WHERE resource_id IS NOT NULL;
CREATE INDEX run_of_hook        ON run (hook_id, id)     WHERE hook_id IS NOT NULL;
CREATE INDEX run_open           ON run (job_id)          WHERE finished_at IS NULL;
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
CREATE TRIGGER run_is_claimed AFTER INSERT ON run WHEN NEW.kind = 'job' BEGIN
  INSERT INTO event (at, run_id, kind) VALUES (NEW.claimed_at, NEW.id, 'claimed');
END;
CREATE TRIGGER run_is_done AFTER UPDATE OF outcome ON run
WHEN NEW.outcome = 'done' AND OLD.outcome IS NULL AND NEW.kind = 'job' BEGIN
  INSERT INTO event (at, run_id, kind) VALUES (NEW.finished_at, NEW.id, 'done');
END;
CREATE VIEW runs AS
  SELECT id, job_id, kind, attempt, pid, started_at, exited_at, finished_at, outcome, reason, exit_code, signal, error,
         max_rss_bytes, user_ms, system_ms FROM run;
CREATE INDEX dependency_on    ON dependency (on_job, state);
CREATE INDEX dependency_state ON dependency (job_id, state);
CREATE INDEX dependency_unmet ON dependency (on_job) WHERE state = 'unmet';
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
CREATE VIEW dependency_truth (job_id, on_job, truth) AS
  SELECT d.job_id, d.on_job,
         CASE WHEN p.state IN ('queued', 'running')                  THEN 'unmet'
              WHEN d.need = 'any'                                    THEN 'met'
              WHEN p.state = 'cancelled' AND p.reason = 'dependency' THEN 'broken'
              WHEN (d.need = 'done') = (p.state = 'done')            THEN 'met'
              ELSE 'broken' END
    FROM dependency d JOIN job p ON p.id = d.on_job;
CREATE UNIQUE INDEX cancel_open ON cancel (job_id) WHERE closed_at IS NULL;
CREATE INDEX cancel_of_job      ON cancel (job_id);
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
END
;
CREATE UNIQUE INDEX suspend_open ON suspend (run_id) WHERE closed_at IS NULL;
CREATE INDEX suspend_of_job      ON suspend (job_id);
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
  SELECT RAISE(ABORT, 'tenure: the job has already ended')
   WHERE EXISTS (SELECT 1 FROM job WHERE id = NEW.job_id AND state NOT IN ('queued', 'running'));
  UPDATE suspend SET resume_at = NULL
   WHERE run_id = (SELECT run_id FROM job WHERE id = NEW.job_id) AND closed_at IS NULL AND resume_at IS NOT NULL;
  SELECT RAISE(IGNORE)
   WHERE EXISTS (SELECT 1 FROM suspend WHERE run_id = (SELECT run_id FROM job WHERE id = NEW.job_id) AND closed_at IS NULL);
END;
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
CREATE INDEX event_of_job   ON event (job_id, id) WHERE job_id IS NOT NULL;
CREATE INDEX event_failed   ON event (id) WHERE kind = 'failed';
CREATE INDEX event_given_up ON event (id) WHERE kind = 'hook_given_up';
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
END
;
CREATE VIEW history AS
  SELECT 0 AS seq, created_at AS at, id AS job_id, NULL AS run_id, 'added' AS kind, NULL AS reason, NULL AS detail FROM job
  UNION ALL
  SELECT 4 * claimed_after + 1, claimed_at, job_id, id, 'claimed', NULL, NULL FROM run WHERE kind = 'job'
  UNION ALL
  SELECT 4 * coalesce(ended_after, claimed_after) + 2, finished_at, job_id, id, 'done', reason, error FROM run
   WHERE kind = 'job' AND outcome = 'done'
  UNION ALL
  SELECT 4 * id, at, job_id, run_id, kind, reason, detail FROM event WHERE job_id IS NOT NULL;
CREATE TRIGGER tally_insert_guard BEFORE INSERT ON tally BEGIN
  SELECT RAISE(ABORT, 'tenure: tally is maintained by triggers; do not change it')
   WHERE NEW.n NOT BETWEEN -1000000000000 AND 1000000000000 OR length(CAST(NEW.state AS BLOB)) > 20 OR length(CAST(NEW.hold AS BLOB)) > 20
      OR length(CAST(NEW.queue AS BLOB)) > 800;
END;
CREATE TRIGGER tally_update_guard BEFORE UPDATE ON tally BEGIN
  SELECT RAISE(ABORT, 'tenure: tally is maintained by triggers; do not change it')
   WHERE NEW.n NOT BETWEEN -1000000000000 AND 1000000000000 OR (NEW.state, NEW.hold, NEW.queue) IS NOT (OLD.state, OLD.hold, OLD.queue);
END;
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
CREATE INDEX lease_of_run ON lease (run_id) WHERE run_id IS NOT NULL;
CREATE TRIGGER lease_insert_guard BEFORE INSERT ON lease BEGIN
  SELECT RAISE(ABORT, 'tenure: use tenure lease run to acquire a lease') WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: the lease is held by another owner') WHERE EXISTS (SELECT 1 FROM lease WHERE name = NEW.name);
  SELECT RAISE(ABORT, 'tenure: a lease has a name of 1 to 210 characters, a nonce, and the argv of its owner')
   WHERE length(NEW.name) NOT BETWEEN 1 AND 210 OR length(NEW.nonce) <> 32 OR NEW.nonce GLOB '*[^0-9a-f]*' OR length(NEW.why) > 1000
      OR NOT json_valid(NEW.command) OR json_type(NEW.command) IS NOT 'array';
  SELECT RAISE(ABORT, 'tenure: only a run that has not ended can have a lease')
   WHERE NEW.run_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run WHERE id = NEW.run_id AND finished_at IS NULL);
END;
CREATE UNIQUE INDEX workspace_dir ON workspace (dir);
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
CREATE UNIQUE INDEX resource_of_run  ON resource (run_id, name)  WHERE run_id  IS NOT NULL AND state <> 'released';
CREATE UNIQUE INDEX resource_of_job  ON resource (job_id, name)  WHERE job_id  IS NOT NULL AND state <> 'released';
CREATE UNIQUE INDEX resource_of_task ON resource (task_id, name) WHERE task_id IS NOT NULL AND state <> 'released';
CREATE INDEX resource_live ON resource (state, id)   WHERE state <> 'released';
CREATE INDEX resource_due  ON resource (next_at, id) WHERE state = 'releasing' AND auxiliary_run_id IS NULL;
CREATE INDEX resource_gone ON resource (released_at) WHERE state = 'released';
CREATE INDEX resource_run  ON resource (run_id)      WHERE run_id IS NOT NULL;
CREATE INDEX resource_job  ON resource (job_id)      WHERE job_id IS NOT NULL;
CREATE INDEX resource_task ON resource (task_id)     WHERE task_id IS NOT NULL;
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
CREATE TRIGGER resource_state_guard BEFORE UPDATE ON resource BEGIN
  SELECT RAISE(ABORT, 'tenure: an id does not change') WHERE NEW.id IS NOT OLD.id;
  SELECT RAISE(ABORT, 'tenure: a released resource does not change') WHERE OLD.state = 'released';
  SELECT RAISE(ABORT,
    'tenure: a resource goes from held to releasing, and then to released; to tear it down UPDATE resource SET state = ''releasing''')
   WHERE NEW.state IS NOT OLD.state AND NOT (NEW.state = 'releasing' AND OLD.state = 'held') AND NEW.state IS NOT 'released';
  SELECT RAISE(ABORT, 'tenure: use tenure resource release ID to tear it down; add --force to record it as gone')
   WHERE NEW.state IS NOT OLD.state AND NEW.state = 'released' AND NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: next_at is in milliseconds since 1970 and must not be negative') WHERE NEW.next_at < 0;
END
;
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
CREATE TRIGGER resource_delete_guard BEFORE DELETE ON resource BEGIN
  SELECT RAISE(ABORT,
    'tenure: to tear a resource down UPDATE resource SET state = ''releasing''; use tenure prune to remove released resources')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: tear the resource down first') WHERE OLD.state <> 'released';
END;
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
END
;
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
CREATE VIEW blocking_resource (job_id, resource_id) AS
  SELECT run.job_id, r.id FROM run CROSS JOIN resource r ON r.run_id = run.id
   WHERE r.state = 'releasing' AND run.job_id IS NOT NULL
  UNION ALL
  SELECT r.job_id, r.id FROM resource r WHERE r.state = 'releasing' AND r.job_id IS NOT NULL;
CREATE INDEX schedule_due     ON schedule (next_at)       WHERE paused = 0;
CREATE INDEX schedule_decided ON schedule (decided_until) WHERE paused = 0;
CREATE INDEX occurrence_may_live ON occurrence (schedule_id, job_id) WHERE state = 'fired' AND may_live = 1;
CREATE INDEX occurrence_of_job   ON occurrence (job_id)              WHERE state = 'fired';
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
CREATE TRIGGER schedule_pauses_or_resumes AFTER UPDATE OF paused ON schedule WHEN OLD.paused <> NEW.paused BEGIN
  UPDATE schedule
     SET paused_at = CASE WHEN OLD.resumed_at > OLD.decided_until THEN OLD.paused_at
                          ELSE CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) END,
         resumed_at = NULL
   WHERE id = NEW.id AND NEW.paused = 1 AND NEW.paused_at IS OLD.paused_at;
  UPDATE schedule SET resumed_at = CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
   WHERE id = NEW.id AND NEW.paused = 0 AND NEW.resumed_at IS OLD.resumed_at;
END;
CREATE TRIGGER occurrence_lives_again AFTER UPDATE OF state ON job
WHEN NEW.state = 'queued' AND OLD.state IN ('failed', 'cancelled') BEGIN
  UPDATE occurrence SET may_live = 1 WHERE job_id = NEW.id AND state = 'fired';
END;
CREATE VIEW schedules AS
  SELECT s.id, s.name, s.cron, s.zone, s.catch_up, s.catch_up_max, s.overlap, s.jitter_ms, s.paused, s.paused_at,
         CASE WHEN s.paused = 0 THEN s.next_at END AS next_at,
         (SELECT max(at) FROM occurrence WHERE schedule_id = s.id AND state = 'fired') AS last_at,
         (SELECT job_id FROM occurrence WHERE schedule_id = s.id AND state = 'fired' ORDER BY at DESC LIMIT 1) AS last_job,
         s.created_at, s.last_error
    FROM schedule s;
CREATE UNIQUE INDEX pipeline_revision ON pipeline (name, revision);
CREATE UNIQUE INDEX task_key ON task (pipeline, key) WHERE key IS NOT NULL AND state = 'running' AND stop_at IS NULL;
CREATE INDEX task_live       ON task (id)            WHERE state = 'running';
CREATE INDEX task_ended      ON task (finished_at)   WHERE state <> 'running';
CREATE INDEX task_revision   ON task (pipeline_id);
CREATE UNIQUE INDEX task_step_of_job ON task_step (job_id);
CREATE UNIQUE INDEX task_step_open   ON task_step (task_id) WHERE ended_at IS NULL;
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
CREATE INDEX hook_due      ON hook (next_at, id)      WHERE outcome IS NULL AND auxiliary_run_id IS NULL;
CREATE INDEX hook_of_job   ON hook (job_id, id);
CREATE INDEX hook_runs     ON hook (auxiliary_run_id) WHERE auxiliary_run_id IS NOT NULL;
CREATE TRIGGER hook_update_guard BEFORE UPDATE ON hook BEGIN
  SELECT RAISE(ABORT, 'tenure: the worker writes the rows of hook; use tenure add --on-end COMMAND to give a job a hook')
   WHERE NOT sqlite_compileoption_used('TENURE');
  SELECT RAISE(ABORT, 'tenure: a hook that has ended does not change') WHERE OLD.outcome IS NOT NULL;
  SELECT RAISE(ABORT, 'tenure: a hook keeps its id, its job and its command')
   WHERE (NEW.id, NEW.job_id, NEW.command) IS NOT (OLD.id, OLD.job_id, OLD.command);
END
;
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
END
;
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
COMMIT;
