//! Tasks whose rows a client without guards has changed: they end or are moved on, and nothing else is touched.

use rusqlite::Connection;
use tenure::job::pipeline::Params;
use tenure::job::{JobId, Reason, RunId, State, TaskState};
use tenure::store::job::claim::{self, Scope};
use tenure::store::job::ids::Prepared;
use tenure::store::job::settle::{self, RunRecord, Settle, Settled};
use tenure::store::{job::read, pipeline, pipeline::task, pipeline::task_rows, upkeep::recount};

use crate::model::file;
use crate::model::hostile::drop_guards;
use crate::model::walks::{exit, nonce, ship};

#[test]
fn an_impossible_row_ends_its_task_and_nothing_else() {
    for (break_it, why) in [
        ("UPDATE pipeline SET spec = '{}'", "the description of the pipeline"),
        ("UPDATE pipeline SET spec = 'x'", "the description of the pipeline"),
        ("UPDATE task SET params = '[]'", "the parameters of the task"),
        ("UPDATE task SET params = '{}'", "the parameter \"v\" is not given"),
        ("DELETE FROM pipeline", "pipeline"),
        ("UPDATE task SET stage = 'nowhere'; UPDATE task_step SET stage = 'nowhere'", "nowhere"),
    ] {
        let conn = file::fresh();
        pipeline::apply(&conn, "ship", &ship(), 1).unwrap();
        task::start(&conn, "ship", None, &Params::from([("v".to_owned(), "1".to_owned())]), 2).unwrap();
        drop_guards(&conn, "%guard");
        conn.execute_batch(&format!("PRAGMA ignore_check_constraints = ON; {break_it}")).unwrap();
        let prepared = [Prepared { run: RunId(1), nonce: nonce(1) }];
        let claim = claim::claim(&conn, &Scope::default(), &prepared, "w", "b", 3).unwrap().pop().unwrap();
        let news = Settle { job: claim.job.id, run: claim.run, end: exit(0), record: RunRecord::default(), chance: 0.0 };
        assert!(matches!(settle::settle(&conn, &news, 4).unwrap(), Settled::Won { .. }), "{break_it}");
        let job = read::job(&conn, claim.job.id).unwrap().unwrap();
        assert_eq!((job.state, job.reason), (State::Done, Some(Reason::Exit)), "the job keeps its own end: {break_it}");
        recount::all(&conn, 5).unwrap();
        let task = task_rows::task(&conn, 1).unwrap().unwrap();
        assert_eq!(task.state, TaskState::Failed, "{break_it}: {task:?}");
        assert!(task.error.as_ref().is_some_and(|error| error.contains(why)), "{break_it}: {task:?}");
    }
}

/// A file with one task, and the run under which its first job runs.
fn one_that_runs() -> Connection {
    let conn = file::fresh();
    pipeline::apply(&conn, "ship", &ship(), 1).unwrap();
    task::start(&conn, "ship", None, &Params::from([("v".to_owned(), "1".to_owned())]), 2).unwrap();
    let prepared = [Prepared { run: RunId(1), nonce: nonce(1) }];
    assert_eq!(claim::claim(&conn, &Scope::default(), &prepared, "w", "b", 3).unwrap().len(), 1);
    conn
}

#[test]
fn a_task_whose_job_was_ended_by_hand_is_moved_on_by_the_reaper() {
    for (by_hand, stage, state) in [
        (
            "UPDATE job SET state = 'done', reason = 'exit', exit_code = 0, finished_at = 4, pid = NULL",
            "build",
            TaskState::Running,
        ),
        ("UPDATE job SET state = 'failed', reason = 'lost', finished_at = 4, pid = NULL", "fetch", TaskState::Failed),
        ("DELETE FROM job", "fetch", TaskState::Failed),
        ("UPDATE task SET job_id = NULL", "fetch", TaskState::Failed),
    ] {
        let conn = one_that_runs();
        drop_guards(&conn, "%guard");
        conn.execute_batch(by_hand).unwrap();
        assert_eq!(recount::all(&conn, 5).unwrap().tasks, 1, "{by_hand}");
        let task = task_rows::task(&conn, 1).unwrap().unwrap();
        assert_eq!((task.stage.as_str(), task.state), (stage, state), "{by_hand}");
        assert_eq!(recount::all(&conn, 6).unwrap().tasks, 0, "a second look finds nothing: {by_hand}");
    }
}

#[test]
fn a_repair_does_not_queue_what_belongs_to_a_stopped_task() {
    let conn = one_that_runs();
    task::stop(&conn, 1, None, 4).unwrap();
    conn.execute("UPDATE cancel SET closed_at = 5", []).unwrap();
    drop_guards(&conn, "%guard");
    conn.execute_batch("PRAGMA ignore_check_constraints = ON; UPDATE job SET run_id = NULL").unwrap();
    tenure::store::upkeep::repair::repair(&conn, 6).unwrap();
    recount::all(&conn, 6).unwrap();
    let job = read::job(&conn, JobId(1)).unwrap().unwrap();
    assert_eq!(job.state, State::Cancelled);
    assert_eq!(task_rows::task(&conn, 1).unwrap().unwrap().state, TaskState::Cancelled);
}
