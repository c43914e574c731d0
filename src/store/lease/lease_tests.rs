use rusqlite::Connection;

use super::*;
use crate::job::{Argv, Exit, NewJob, RunEnd};
use crate::store::fixture;
use crate::store::job::claim;
use crate::store::job::claim::Scope;
use crate::store::job::ids::Prepared;
use crate::store::job::settle::{RunRecord, Settle, settle};
use crate::store::job::{enqueue, read};

fn lease(name: &str, nonce: u8) -> Lease {
    Lease {
        name: name.into(),
        nonce: Nonce([nonce; 16]),
        run: None,
        job: None,
        pid: Some(4711),
        command: r#"["make"]"#.into(),
        why: Some("a test".into()),
        boot_id: "b".into(),
        since: 1_000,
    }
}

fn running(conn: &Connection, run: i64) -> JobId {
    let id = enqueue::add(conn, &[NewJob::new(Argv::from_strs(&["true"]).unwrap())], 1_000).unwrap()[0].id;
    let prepared = [Prepared { run: RunId(run), nonce: Nonce([run as u8; 16]) }];
    assert_eq!(claim::claim(conn, &Scope::default(), &prepared, "w", "b", 2_000).unwrap().len(), 1);
    id
}

fn end(conn: &Connection, job: JobId, run: i64) {
    let end = RunEnd::Ended { exit: Exit::Code(0), cause: None, out_of_memory: false };
    let s = Settle { job, run: RunId(run), end, record: RunRecord::default(), chance: 0.0 };
    settle(conn, &s, 3_000).unwrap();
}

fn counted(conn: &Connection, name: &str) -> i64 {
    read::counters(conn).unwrap().iter().find(|c| c.name == name).map_or(0, |c| c.n)
}

#[test]
fn one_has_it_and_the_other_is_told_who() {
    let conn = fixture::fresh();
    assert_eq!(take(&conn, &lease("gpu", 1)).unwrap(), Taken::Yours);
    assert_eq!(take(&conn, &lease("gpu", 2)).unwrap(), Taken::Held(Box::new(lease("gpu", 1))));
    for _ in 0..2 {
        assert_eq!(take(&conn, &lease("other", 2)).unwrap(), Taken::Yours, "asked twice, it is the same one");
    }
    assert_eq!(list(&conn).unwrap(), [lease("gpu", 1), lease("other", 2)]);
    assert!(free(&conn, "gpu", Nonce([1; 16])).unwrap());
    assert_eq!(named(&conn, "gpu").unwrap(), None);
}

#[test]
fn a_late_owner_frees_nothing_of_the_next_one() {
    let conn = fixture::fresh();
    take(&conn, &lease("gpu", 1)).unwrap();
    assert!(reclaim(&conn, &lease("gpu", 1), 5).unwrap());
    take(&conn, &lease("gpu", 2)).unwrap();
    assert!(!free(&conn, "gpu", Nonce([1; 16])).unwrap());
    assert!(!reclaim(&conn, &lease("gpu", 1), 5).unwrap());
    assert!(!force(&conn, &lease("gpu", 1), "me", 5).unwrap());
    assert_eq!(named(&conn, "gpu").unwrap().unwrap().nonce, Nonce([2; 16]));
    assert_eq!((counted(&conn, "leases_reclaimed_total"), counted(&conn, "leases_forced_total")), (1, 0));
}

#[test]
fn a_lease_taken_by_force_says_from_whom_and_by_whom() {
    let conn = fixture::fresh();
    let job = running(&conn, 7);
    let held = Lease { job: Some(job), ..lease("gpu", 1) };
    take(&conn, &held).unwrap();
    assert!(force(&conn, &held, "root, pid 9", 5).unwrap());
    let counters = read::counters(&conn).unwrap();
    let forced = counters.iter().find(|c| c.name == "leases_forced_total").unwrap();
    assert_eq!(forced.note.as_deref(), Some("gpu: taken from pid 4711 by root, pid 9"));
    let told: Vec<String> = read::events(&conn, job).unwrap().into_iter().map(|event| event.kind).collect();
    assert!(told.ends_with(&["lease_taken".into(), "lease_forced".into()]), "{told:?}");
    let of_no_job = Lease { job: Some(JobId(99)), ..lease("gpu", 2) };
    assert_eq!(take(&conn, &of_no_job).unwrap(), Taken::Yours);
    assert_eq!(read::events(&conn, JobId(99)).unwrap(), []);
}

#[test]
fn a_run_has_its_leases_until_its_row_ends() {
    let conn = fixture::fresh();
    let job = running(&conn, 7);
    for _ in 0..2 {
        assert_eq!(take_for_run(&conn, "workspace/a", RunId(7), Some("making it"), 2_000).unwrap(), Taken::Yours);
    }
    let held = named(&conn, "workspace/a").unwrap().unwrap();
    assert_eq!((held.run, held.job, held.command.as_str()), (Some(RunId(7)), Some(job), r#"["true"]"#));
    assert_eq!(take(&conn, &lease("workspace/a", 1)).unwrap(), Taken::Held(Box::new(held.clone())));
    assert!(!reclaim(&conn, &held, 5).unwrap(), "a run is alive until its row ends");
    end(&conn, job, 7);
    assert_eq!(list(&conn).unwrap(), []);
    let late = take_for_run(&conn, "workspace/a", RunId(7), None, 3_000);
    assert!(matches!(late, Err(Error::Refused(_))), "{late:?}");
}

#[test]
fn what_a_run_holds_is_given_to_no_other_run() {
    let conn = fixture::fresh();
    running(&conn, 7);
    running(&conn, 8);
    take_for_run(&conn, "workspace/a", RunId(7), None, 2_000).unwrap();
    let other = take_for_run(&conn, "workspace/a", RunId(8), None, 2_000).unwrap();
    assert!(matches!(other, Taken::Held(held) if held.run == Some(RunId(7))));
    assert_eq!(reclaim_of_ended_runs(&conn, 5).unwrap(), 0);
}

#[test]
fn a_restored_copy_keeps_the_living_owners_only() {
    let conn = fixture::fresh();
    take(&conn, &lease("gpu", 1)).unwrap();
    take(&conn, &lease("old", 2)).unwrap();
    keep_living(&conn, &[lease("gpu", 3), lease("new", 4)]).unwrap();
    assert_eq!(list(&conn).unwrap(), [lease("gpu", 3), lease("new", 4)]);
}

#[test]
fn a_lock_file_tells_the_whole_lease() {
    let told = serde_json::to_string(&lease("g\u{1b}pu", 1)).unwrap();
    assert_eq!(serde_json::from_str::<Lease>(&told).unwrap(), lease("g\u{1b}pu", 1));
}
