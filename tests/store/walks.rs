//! Several who want to move the same task on at the same instant, each with a connection of its own: one wins, and one next job is made.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;

use tenure::error::Error;
use tenure::job::pipeline::{Params, Stage};
use tenure::job::{Argv, Exit, JobId, NewJob, Nonce, Pipeline, RunEnd, RunId, State, TaskState, Template};
use tenure::store::job::claim::{self, Scope};
use tenure::store::job::ids::Prepared;
use tenure::store::job::settle::{self, RunRecord, Settle, Settled};
use tenure::store::{Role, Store, pipeline, pipeline::task, pipeline::task_rows};

use crate::store::harness::{Home, ask};

/// How often they meet. Each meeting is three transactions on a real file.
const MEETINGS: i64 = 700;

fn ship() -> Pipeline {
    let stage = |to: Option<&str>| Stage {
        job: Template::of(NewJob::new(Argv::from_strs(&["x"]).unwrap()), None, None).unwrap(),
        on_success: to.map(str::to_owned),
        on_failure: None,
        critical: false,
        teardown: None,
    };
    let stages = [("a", stage(Some("b"))), ("b", stage(Some("c"))), ("c", stage(None))];
    Pipeline::new(Some("a".into()), None, BTreeSet::new(), stages.map(|(name, stage)| (name.to_owned(), stage)).into()).unwrap()
}

/// Makes one task whose first job runs under this run.
fn a_walk(store: &Store, run: i64) -> (i64, JobId) {
    store
        .commit(move |conn| {
            let id = task::start(conn, "ship", None, &Params::new(), run)?.id;
            let prepared = [Prepared { run: RunId(run), nonce: Nonce([run as u8; 16]) }];
            let job = task_rows::task(conn, id)?.and_then(|task| task.job).expect("a job");
            let scope = Scope { only: Some(job), ..Scope::default() };
            assert_eq!(claim::claim(conn, &scope, &prepared, "w", "b", run)?.len(), 1);
            Ok((id, job))
        })
        .unwrap()
        .0
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Did {
    Won,
    Late,
}

/// What one of them does with a task, its first job and the run of that.
type Act = fn(&Store, i64, JobId, i64) -> Did;

fn settle(store: &Store, job: JobId, run: i64) -> Did {
    let end = RunEnd::Ended { exit: Exit::Code(0), cause: None, out_of_memory: false };
    let news = Settle { job, run: RunId(run), end, record: RunRecord::default(), chance: 0.0 };
    match store.commit(move |conn| settle::settle(conn, &news, 5)).unwrap().0 {
        Settled::Won { .. } => Did::Won,
        Settled::Late => Did::Late,
    }
}

fn advance(store: &Store, id: i64) -> Did {
    match store.commit(move |conn| task::advance(conn, id, "a", "b", 5)) {
        Ok(_) => Did::Won,
        Err(Error::Refused(_)) => Did::Late,
        Err(other) => panic!("{other}"),
    }
}

fn stop(store: &Store, id: i64) -> Did {
    match store.commit(move |conn| task::stop(conn, id, None, 5)).unwrap().0 {
        task::Stopped::AlreadyEnded(_) => Did::Late,
        _ => Did::Won,
    }
}

/// Lets two or three acts meet on each of many tasks, and shows each meeting to `judge`.
fn race<const N: usize>(acts: [Act; N], judge: impl Fn(&Store, i64, JobId, [Did; N])) {
    let home = Home::new();
    let client = home.open(Role::Client);
    client.write(|conn| pipeline::apply(conn, "ship", &ship(), 1)).unwrap();
    let stores: [Store; N] = std::array::from_fn(|_| home.open(Role::Client));
    for run in 1..=MEETINGS {
        let (id, job) = a_walk(&client, run);
        let barrier = Barrier::new(N);
        let did = thread::scope(|scope| {
            let all: Vec<_> = acts
                .iter()
                .zip(&stores)
                .map(|(act, store)| {
                    scope.spawn(|| {
                        barrier.wait();
                        act(store, id, job, run)
                    })
                })
                .collect();
            let did: Vec<Did> = all.into_iter().map(|thread| thread.join().unwrap()).collect();
            <[Did; N]>::try_from(did).unwrap()
        });
        judge(&client, id, job, did);
    }
    let stray = "SELECT count(*) FROM job WHERE NOT EXISTS (SELECT 1 FROM task_step WHERE job_id = job.id)";
    assert_eq!(ask(&client, stray), "0", "a job that is not a step of its task");
    let doubled =
        "SELECT count(*) FROM (SELECT task_id FROM task_step WHERE stage <> 'a' GROUP BY task_id, stage HAVING count(*) > 1)";
    assert_eq!(ask(&client, doubled), "0", "a stage was entered twice");
}

fn stages(store: &Store, id: i64) -> String {
    ask(store, &format!("SELECT group_concat(stage, '') FROM (SELECT stage FROM task_step WHERE task_id = {id} ORDER BY seq)"))
}

#[test]
fn of_two_settles_and_an_advance_that_meet_one_moves_the_task() {
    let acts: [Act; 3] = [
        |store, _, job, run| settle(store, job, run),
        |store, _, job, run| settle(store, job, run),
        |store, id, _, _| advance(store, id),
    ];
    race(acts, |store, id, job, did| {
        let settles = did[..2].iter().filter(|did| **did == Did::Won).count();
        assert_eq!(settles, 1, "one settle ends the job, whichever process moves the task: {did:?}");
        let outcome = ask(store, &format!("SELECT outcome FROM task_step WHERE job_id = {job}"));
        assert_eq!(outcome, if did[2] == Did::Won { "advanced" } else { "done" }, "{did:?}");
        assert_eq!(stages(store, id), "ab", "exactly one next job: {did:?}");
    });
}

#[test]
fn a_settle_and_a_stop_that_meet_leave_nothing_that_could_start() {
    let acts: [Act; 2] = [|store, _, job, run| settle(store, job, run), |store, id, _, _| stop(store, id)];
    race(acts, |store, id, job, did| {
        assert_eq!(did, [Did::Won, Did::Won]);
        let task = store.read(|conn| task_rows::task(conn, id)).unwrap().unwrap();
        assert_eq!(task.state, TaskState::Cancelled);
        let live = ask(store, &format!("SELECT count(*) FROM job WHERE task_id = {id} AND state IN ('queued', 'running')"));
        assert_eq!(live, "0");
        assert_eq!(ask(store, &format!("SELECT state FROM job WHERE id = {job}")), State::Done.as_str(), "its honest end");
        assert!(["a", "ab"].contains(&stages(store, id).as_str()));
    });
}

#[test]
fn of_two_advances_one_wins_and_a_stop_decides() {
    let acts: [Act; 3] =
        [|store, id, _, _| advance(store, id), |store, id, _, _| advance(store, id), |store, id, _, _| stop(store, id)];
    race(acts, |store, id, job, did| {
        assert!(did[..2].iter().filter(|did| **did == Did::Won).count() <= 1, "{did:?}");
        assert_eq!(did[2], Did::Won);
        let queued = ask(store, &format!("SELECT count(*) FROM job WHERE task_id = {id} AND state = 'queued'"));
        assert_eq!(queued, "0", "nothing of a stopped task waits to start");
        let run =
            store.read(|conn| Ok(conn.query_row("SELECT run_id FROM job WHERE id = ?1", [job.0], |row| row.get(0))?)).unwrap();
        assert_eq!(settle(store, job, run), Did::Won, "its first job still runs and is being stopped");
        let task = store.read(|conn| task_rows::task(conn, id)).unwrap().unwrap();
        assert_eq!(task.state, TaskState::Cancelled, "and the task ends with it");
    });
}
