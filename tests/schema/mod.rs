//! schema.sql and Rust hold the same lists and the same rules: nothing may be written once for each and then drift apart.

mod counters;
mod page;
mod pairs;
mod parts;
mod plain;
mod policies;
mod raises;
mod refusals;
mod strangers;

use std::collections::BTreeSet;

use rusqlite::Connection;
use tenure::job::hold::Waiting;
use tenure::job::schedule::{CATCH_UP_DEFAULT, CATCH_UP_MAX, COUNTED_MAX, CatchUp, Overlap, Skip};
use tenure::job::{Hold, Move, Need, Outcome, Reason, ReleasedBy, ResourceState, RunKind, State, TaskState};

const SCHEMA: &str = include_str!("../../schema.sql");

/// What must stand in a row of each state for it to be whole.
fn whole(state: State) -> &'static str {
    match state {
        State::Queued => "run_id = NULL, pid = NULL, started_at = NULL, finished_at = NULL, reason = NULL",
        State::Running => "run_id = 1, pid = NULL, started_at = 1, finished_at = NULL, reason = NULL",
        State::Done => "finished_at = 2, pid = NULL, reason = 'exit', exit_code = 0",
        State::Failed | State::Cancelled => "finished_at = 2, pid = NULL, reason = 'exit'",
    }
}

fn move_to(conn: &Connection, state: State) -> rusqlite::Result<usize> {
    conn.execute(&format!("UPDATE job SET state = '{state}', {} WHERE id = 1", whole(state)), [])
}

/// A file with one job in this state, brought there by legal moves.
fn with_job_in(state: State) -> Connection {
    let conn = crate::model::file::fresh();
    conn.execute("INSERT INTO job (command) VALUES (json_array('true'))", []).unwrap();
    if matches!(state, State::Running | State::Done) {
        move_to(&conn, State::Running).unwrap();
    }
    if state != State::Queued && state != State::Running {
        move_to(&conn, state).unwrap();
    }
    conn
}

#[test]
fn the_file_allows_exactly_the_moves_of_the_state_machine() {
    for before in State::ALL {
        for after in State::ALL {
            let legal = Move::ALL.into_iter().any(|happens| before.step(happens) == Some(after));
            let allowed = move_to(&with_job_in(before), after);
            // A queued or running row may be written again as it is; that is not a move.
            let is_rewrite = before == after && !before.is_terminal();
            assert_eq!(allowed.is_ok(), legal || is_rewrite, "{before} -> {after}: {allowed:?}");
        }
    }
}

#[test]
fn each_move_has_the_same_name_on_both_sides() {
    let conn = crate::model::file::fresh();
    let mut moves = conn.prepare("SELECT before, after, event FROM legal_move").unwrap();
    let moves = moves.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let in_sql: BTreeSet<(String, String, String)> = moves.map(Result::unwrap).collect();
    let mut in_rust = BTreeSet::new();
    for before in State::ALL {
        for happens in Move::ALL {
            if let Some(after) = before.step(happens) {
                in_rust.insert((before.to_string(), after.to_string(), happens.as_str().to_owned()));
            }
        }
    }
    assert_eq!(in_sql, in_rust);
}

#[test]
fn the_hold_is_the_same_expression_over_all_facts() {
    let conn = crate::model::file::fresh();
    crate::model::hostile::drop_guards(&conn, "%");
    let mut compared = 0;
    for bits in 0..1u32 << 12 {
        let is = |bit: u32| bits >> bit & 1 == 1;
        let (unmet, broken) = (u32::from(is(2)) * 2, u32::from(is(3)));
        let waiting = Waiting {
            user_hold: is(0),
            task_hold: is(1),
            unmet: unmet + broken,
            unreleased: u32::from(is(8)),
            available_at: 5,
            due_seen: [4, 5, 6, 0][(bits >> 4 & 3) as usize],
            too_wide: is(9),
            uses_pools: is(10),
            pool_pass: is(11),
            in_lane: is(6),
            lane_pass: is(7),
        };
        conn.execute(
            "INSERT INTO job (command, user_hold, task_hold, unmet, broken, available_at, due_seen, lane, lane_pass, unreleased, too_wide,
                              uses, pool_pass)
             VALUES ('[\"x\"]', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            (
                waiting.user_hold,
                waiting.task_hold,
                unmet,
                broken,
                waiting.available_at,
                waiting.due_seen,
                waiting.in_lane.then_some("lane"),
                waiting.lane_pass,
                waiting.unreleased,
                waiting.too_wide,
                waiting.uses_pools.then_some("{\"gpu\": 1}"),
                waiting.pool_pass,
            ),
        )
        .unwrap();
        let hold: Option<String> =
            conn.query_row("SELECT hold FROM job WHERE id = ?1", [conn.last_insert_rowid()], |row| row.get(0)).unwrap();
        assert_eq!(hold.as_deref(), Hold::of(&waiting).map(Hold::as_str), "{waiting:?}");
        compared += 1;
    }
    assert_eq!(compared, 4096);
    for state in State::ALL.into_iter().filter(|s| *s != State::Queued) {
        let conn = with_job_in(state);
        let hold: Option<String> = conn.query_row("SELECT hold FROM job", [], |row| row.get(0)).unwrap();
        assert_eq!(hold, None, "only a queued job is held");
    }
}

/// The words of `COLUMN IN ('a', 'b', ...)` in a constraint of this name.
fn words_of(constraint: &str) -> BTreeSet<String> {
    let at = SCHEMA.find(constraint).unwrap_or_else(|| panic!("no constraint {constraint}"));
    words_in(SCHEMA[at..].split_once(" IN (").unwrap().1)
}

/// The words of the condition of `CASE WHEN ... THEN 'state_is_known'`, which is the first rule of the column `fault` of this table.
fn states_of(table: &str) -> BTreeSet<String> {
    let made = SCHEMA.split_once(&format!("CREATE TABLE {table} (")).unwrap().1;
    let condition = made.split_once("THEN 'state_is_known'").unwrap().0.rsplit_once("CASE WHEN ").unwrap().1;
    set(condition.split('\'').skip(1).step_by(2))
}

fn words_in(list: &str) -> BTreeSet<String> {
    let list = list.split_once(')').unwrap().0;
    list.split(',').map(|word| word.trim().trim_matches('\'').to_owned()).collect()
}

fn set<'a>(words: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_closed_lists_have_the_same_words() {
    assert_eq!(states_of("job"), set(State::ALL.map(State::as_str)));
    assert_eq!(words_of("task_state_is_known"), set(TaskState::ALL.map(TaskState::as_str)));
    assert_eq!(words_of("job_reason_is_known"), set(Reason::ALL.iter().map(|r| r.as_str())));
    assert_eq!(words_of("run_kind_is_known"), set(RunKind::ALL.iter().map(|k| k.as_str())));
    assert_eq!(words_of("run_outcome_is_known"), set(Outcome::ALL.iter().map(|o| o.as_str())));
    assert_eq!(states_of("resource"), set(ResourceState::ALL.iter().map(|s| s.as_str())));
    assert_eq!(words_in(SCHEMA.split_once("released_by NOT IN (").unwrap().1), set(ReleasedBy::ALL.iter().map(|b| b.as_str())));
    assert_eq!(words_of("schedule_catch_up_is_known"), set(CatchUp::ALL.map(CatchUp::as_str)));
    assert_eq!(words_of("schedule_overlap_is_known"), set(Overlap::ALL.map(Overlap::as_str)));
    assert_eq!(words_of("occurrence_reason_is_known"), set(Skip::ALL.map(Skip::as_str)));
    assert_eq!(words_of("dependency_need_is_known"), set([Need::Done, Need::Any, Need::Failed].map(Need::as_str)));
}

#[test]
fn the_numbers_are_the_same() {
    assert!(SCHEMA.contains(&format!("id BETWEEN 1 AND {}", tenure::store::job::ids::ID_MAX)));
    assert!(SCHEMA.contains(&format!("max_attempts BETWEEN 1 AND {}", tenure::job::limits::ATTEMPTS_MAX)));
    assert!(SCHEMA.contains(&format!("CHECK (slots BETWEEN 1 AND {})", tenure::job::worker_limits::SLOTS_MAX)));
    assert!(SCHEMA.contains(&format!("<= {}", tenure::job::limits::RESULT_BYTES_MAX)));
    assert!(SCHEMA.contains(&format!("BETWEEN 1 AND {}", tenure::job::limits::NAME_CHARS_MAX)));
    assert!(SCHEMA.contains(&format!("length(cron) BETWEEN 1 AND {}", tenure::job::calendar::CRON_CHARS_MAX)));
    assert!(SCHEMA.contains(&format!("catch_up_max BETWEEN 1 AND {CATCH_UP_MAX}")));
    assert!(SCHEMA.contains(&format!("catch_up_max  INTEGER NOT NULL DEFAULT {CATCH_UP_DEFAULT}")));
    assert!(SCHEMA.contains(&format!("n = {} means", COUNTED_MAX + 1)));
    assert!(SCHEMA.contains(&format!("length(label) <= {}", tenure::job::limits::LABEL_CHARS_MAX)));
    assert!(SCHEMA.contains(&format!("length(CAST(command AS BLOB)) <= {}", tenure::job::limits::JSON_BYTES_MAX)));
    assert!(SCHEMA.contains(&format!("length(CAST(cwd AS BLOB)) <= {}", tenure::job::limits::CWD_BYTES_MAX)));
    assert!(SCHEMA.contains(&format!("length(CAST(why AS BLOB)) <= {}", 4 * tenure::job::limits::LABEL_CHARS_MAX)));
    assert!(SCHEMA.contains(&format!("length(CAST(label AS BLOB)) <= {}", 4 * tenure::job::limits::LABEL_CHARS_MAX)));
    assert!(SCHEMA.contains(&format!("length(CAST(queue AS BLOB)) <= {}", 4 * tenure::job::limits::NAME_CHARS_MAX)));
}

#[test]
fn a_lease_keeps_its_owner_and_is_given_to_no_ended_run() {
    let conn = crate::model::file::fresh();
    let insert = |name: &str, nonce: &str, run: &str, command: &str| {
        let sql = format!(
            "INSERT OR REPLACE INTO lease (name, nonce, run_id, command, boot_id, since) VALUES (?1, ?2, {run}, ?3, 'b', 1)"
        );
        conn.execute(&sql, (name, nonce, command)).map_err(|error| error.to_string())
    };
    let nonce = "0123456789abcdef".repeat(2);
    conn.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
    insert("held", &nonce, "NULL", "[]").unwrap();
    for (name, nonce, run, command, word) in [
        ("held", nonce.as_str(), "NULL", "[]", "the lease is held by another owner"),
        ("", &nonce, "NULL", "[]", "1 to 210"),
        (&"x".repeat(211), &nonce, "NULL", "[]", "1 to 210"),
        ("a", "short", "NULL", "[]", "nonce"),
        ("a", &"G".repeat(32), "NULL", "[]", "nonce"),
        ("a", &nonce, "NULL", "{}", "argv"),
        ("a", &nonce, "7", "[]", "only a run that has not ended"),
    ] {
        let refused = insert(name, nonce, run, command).unwrap_err();
        assert!(refused.contains(word), "{name} {nonce} {run} {command}: {refused}");
    }
    assert!(conn.execute("UPDATE lease SET since = 2", []).unwrap_err().to_string().contains("cannot be updated"));
}

#[test]
fn what_a_client_without_the_capability_may_do_and_what_not() {
    let conn = crate::model::file::fresh();
    conn.execute("INSERT INTO job (command) VALUES (json_array('true'))", []).unwrap();
    crate::model::file::make_plain(&conn);
    for allowed in [
        "INSERT INTO job (command) VALUES (json_array('echo', 'hi'))",
        "INSERT INTO job (command, lane) VALUES (json_array('echo', 'hi'), 'db'), (json_array('echo', '\\u0000'), 'db')",
        "UPDATE job SET priority = 5, label = 'x', available_at = 7, user_hold = 1, expires_at = 9 WHERE id = 1",
        "INSERT INTO dependency (job_id, on_job) VALUES (2, 1)",
        "UPDATE queue SET paused = 1, slots = 3",
        "INSERT INTO cancel (job_id) VALUES (1)",
        "INSERT OR REPLACE INTO cancel (job_id) VALUES (1)",
        "INSERT OR REPLACE INTO queue (name) VALUES ('default')",
    ] {
        assert!(conn.execute(allowed, []).is_ok(), "{allowed}: {:?}", conn.execute(allowed, []));
    }
    let slots: i64 = conn.query_row("SELECT slots FROM queue WHERE name = 'default'", [], |row| row.get(0)).unwrap();
    assert_eq!(slots, 3, "REPLACE did not remove the queue");
    // With a row in each table, so that each of them has something to refuse.
    let conn = raises::full();
    crate::model::file::make_plain(&conn);
    for checks in ["OFF", "ON"] {
        conn.execute_batch(&format!("PRAGMA ignore_check_constraints = {checks}")).unwrap();
        for refused in [
            "UPDATE job SET state = 'running', run_id = 1, started_at = 1",
            "UPDATE job SET state = 'queued'",
            "UPDATE job SET pid = 1",
            "UPDATE job SET run_id = 1",
            "UPDATE job SET unique_key = 'x'",
            "UPDATE job SET command = '[]'",
            "UPDATE job SET policy = 'x'",
            "UPDATE job SET env = 'x'",
            "UPDATE job SET due_seen = 99",
            "UPDATE job SET error = 'x'",
            "UPDATE job SET max_attempts = 2",
            "UPDATE job SET queue = 'x'",
            "UPDATE job SET lane = 'x'",
            "UPDATE job SET cwd = '/x'",
            "UPDATE job SET unmet = 1",
            "UPDATE job SET broken = 1",
            "UPDATE job SET unreleased = 1",
            "UPDATE job SET id = 77 WHERE id = 1",
            "UPDATE job SET rowid = 77 WHERE id = 1",
            "UPDATE OR REPLACE job SET rowid = 2 WHERE id = 1",
            "UPDATE job SET user_hold = 2",
            "UPDATE job SET available_at = -1",
            "INSERT OR REPLACE INTO job (id, command) VALUES (1, '[\"x\"]')",
            "INSERT INTO job (id, command) VALUES (-1, '[\"x\"]')",
            "INSERT INTO job (id, command) VALUES (9223372036854775807, '[\"x\"]')",
            "INSERT INTO job (command) VALUES ('echo hi')",
            "INSERT INTO job (command) VALUES ('[]')",
            "INSERT INTO job (command) VALUES ('[\"\"]')",
            "INSERT INTO job (command) VALUES ('[1]')",
            "INSERT INTO job (command) VALUES ('[\"a\\u0000\"]')",
            "INSERT INTO job (command, state) VALUES ('[\"x\"]', 'done')",
            "INSERT INTO job (command, run_id) VALUES ('[\"x\"]', 1)",
            "INSERT INTO job (command, queue) VALUES ('[\"x\"]', '')",
            "INSERT INTO job (command, max_attempts) VALUES ('[\"x\"]', 0)",
            "INSERT INTO job (command, env) VALUES ('[\"x\"]', '[]')",
            "INSERT INTO job (command, policy) VALUES ('[\"x\"]', 'x')",
            "DELETE FROM job",
            "DELETE FROM run",
            "INSERT INTO run (id, job_id, attempt, nonce, instance, boot_id, claimed_at) VALUES (1, 1, 1, '', '', '', 0)",
            "DELETE FROM event",
            "UPDATE event SET kind = 'x'",
            "INSERT INTO event (id, kind) VALUES (5, 'x')",
            "INSERT INTO cancel (job_id) VALUES (99)",
            "INSERT INTO cancel (job_id, closed_at) VALUES (2, 1)",
            "UPDATE cancel SET closed_at = 1",
            "DELETE FROM cancel",
            "INSERT INTO dependency (job_id, on_job) VALUES (1, 2)",
            "INSERT INTO dependency (job_id, on_job) VALUES (2, 99)",
            "UPDATE dependency SET state = 'met'",
            "DELETE FROM dependency",
            "UPDATE lane SET running = 5",
            "DELETE FROM lane",
            "DELETE FROM queue",
            "UPDATE queue SET name = 'x'",
            "INSERT INTO schedule (name, cron, zone, template, decided_until, created_at) VALUES ('n', '* * * * *', 'UTC', '{}', 0, 0)",
            "INSERT INTO occurrence (schedule_id, at, last_at, state, job_id, decided_at) VALUES (1, 1, 1, 'fired', 1, 1)",
            "UPDATE schedule SET cron = 'x'",
            "DELETE FROM occurrence",
            "UPDATE meta SET value = '0'",
            "INSERT OR REPLACE INTO meta VALUES ('run_id_limit', '1')",
            "DELETE FROM meta",
            "DELETE FROM counter",
            "INSERT INTO lease (name, nonce, command, boot_id, since) VALUES ('gpu', lower(hex(zeroblob(16))), '[]', 'b', 1)",
            "INSERT OR REPLACE INTO lease (name, nonce, command, boot_id, since) VALUES ('held', lower(hex(zeroblob(16))), '[]', 'b', 1)",
            "UPDATE lease SET nonce = hex(zeroblob(16))",
            "UPDATE OR REPLACE lease SET name = 'held'",
            "DELETE FROM lease",
            "UPDATE lane SET of_array = 1",
            "INSERT INTO workspace (key, dir, prepared_at, last_used_at, boot_id) VALUES ('k', 'k-1', 0, 0, 'b')",
            "UPDATE workspace SET last_used_at = 0",
            "DELETE FROM workspace",
            "UPDATE run SET dir = 'k-1'",
        ] {
            let error = conn.execute(refused, []).err().map(|error| error.to_string());
            let is_refused = |error: &String| error.starts_with("tenure: ") || error.starts_with("CHECK constraint failed: ");
            assert!(error.as_ref().is_some_and(is_refused), "ignore_check_constraints = {checks}: {refused}: {error:?}");
        }
    }
}
