use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::job::{Argv, NewJob};
use crate::store::job::{enqueue, read};
use crate::store::{Options, Role, Store};

fn store(role: Role) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("q.db"), Options::new(role)).unwrap();
    (dir, store)
}

fn add(conn: &Connection) -> Result<()> {
    enqueue::add(conn, &[NewJob::new(Argv::from_strs(&["true"]).unwrap())], 1).map(drop)
}

#[test]
fn a_write_that_is_alone_opens_no_savepoint() {
    for role in [Role::Client, Role::Worker] {
        let (_dir, store) = store(role);
        // There is no savepoint here: with one, each statement of a long write would be slower than
        // the one before.
        let open = store.write(|conn| Ok(conn.execute_batch("RELEASE one").is_ok())).unwrap();
        assert!(!open, "{role:?}");
    }
}

#[test]
fn a_write_that_is_alone_and_fails_leaves_nothing() {
    for role in [Role::Client, Role::Worker] {
        let (_dir, store) = store(role);
        let failed = store.write(|conn| add(conn).and(Err::<(), _>(Error::Refused("no".into()))));
        assert!(matches!(failed, Err(Error::Refused(_))), "{role:?}");
        let panicked = store.write(|conn| -> Result<()> {
            add(conn)?;
            panic!("in the middle")
        });
        assert!(matches!(panicked, Err(Error::Internal(_))), "{role:?}");
        store.write(add).unwrap();
        assert_eq!(store.read(read::last_job).unwrap().map(|id| id.0), Some(1), "{role:?}: only what went well is there");
    }
}

#[test]
fn nothing_is_written_into_a_file_whose_name_leads_elsewhere() {
    for role in [Role::Client, Role::Worker] {
        let (dir, store) = store(role);
        store.write(add).unwrap();
        let other = dir.path().join("other.db");
        drop(Store::open(&other, Options::new(Role::Client)).unwrap());
        std::fs::rename(&other, store.place().db()).unwrap();
        let bytes = || std::fs::metadata(store.place().wal()).unwrap().len();
        let before = bytes();
        let refused = store.commit(add);
        assert!(matches!(&refused, Err(Error::File(why)) if why.contains("was replaced")), "{role:?}: {refused:?}");
        assert_eq!(bytes(), before, "{role:?}: the log has kept its name, and would damage the new file");
    }
}

#[test]
fn a_client_that_waited_in_vain_is_told_the_truth_and_a_remedy() {
    use crate::store::engine::locks::Holder;
    let (_dir, store) = store(Role::Client);
    let mut other = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let pid = i32::try_from(other.id()).unwrap();
    let holder = |program: &str| Some(Holder { pid, program: Some(program.to_owned()) });
    let text = |holder| super::busy_text(store.place(), holder);
    for (holder, words, never) in [
        (holder("tenure"), "short transactions; nothing was changed, so try again", "end its transaction"),
        (holder("sqlite3"), "(sqlite3); end its transaction and try again", "short"),
        (None, "nothing was changed, so try again", "end its transaction"),
    ] {
        let said = text(holder.clone());
        assert!(said.contains(words) && !said.contains(never) && said.contains("q.db"), "{holder:?}: {said}");
    }
    let raw = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(raw, rustix::process::Signal::STOP).unwrap();
    rustix::process::waitid(rustix::process::WaitId::Pid(raw), rustix::process::WaitIdOptions::STOPPED).unwrap();
    let said = text(holder("tenure"));
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(said.contains(&format!("kill -CONT {pid}")) && said.contains("stopped"), "{said}");
}

#[test]
fn only_commits_of_others_count_as_changes() {
    for role in [Role::Client, Role::Worker] {
        let (dir, store) = store(role);
        store.write(add).unwrap();
        let count = || store.changes_by_others().unwrap().expect("no write is in progress");
        let before = count();
        store.write(add).unwrap();
        assert_eq!(count(), before, "{role:?}: its own");
        let other = Store::open(&dir.path().join("q.db"), Options::new(Role::Client)).unwrap();
        other.write(add).unwrap();
        let after = count();
        assert_ne!(after, before, "{role:?}: of another connection");
        store.write(add).unwrap();
        assert_eq!(count(), after, "{role:?}: its own again");
    }
}
