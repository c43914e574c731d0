//! Two owners of one lease, one of whom no row knows.

use super::*;
use crate::store::{Options, Role};

fn wanted(name: &str) -> Wanted {
    Wanted { name: name.into(), job: None, command: r#"["true"]"#.into(), why: None }
}

fn store(dir: &tempfile::TempDir) -> Store {
    Store::open(&dir.path().join("q.db"), Options::new(Role::Client)).unwrap()
}

/// The lock file of a live owner whose row an older copy of the file has lost.
fn unwritten_owner(store: &Store, name: &str) -> LockFile {
    let mut lock = LockFile::make(store.place()).unwrap();
    let row = Lease {
        name: name.into(),
        nonce: lock.nonce(),
        run: None,
        job: None,
        pid: None,
        command: r#"["true"]"#.into(),
        why: None,
        boot_id: machine::boot_id(),
        since: 1,
    };
    lock.describe(&serde_json::to_string(&row).unwrap()).unwrap();
    lock
}

/// The copy is restored after the first check of the lock files: the second check, after the row is
/// written, finds the other owner.
#[test]
fn a_row_counts_only_if_no_lock_file_speaks_for_another() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    for name in ["gpu", "disk"] {
        let other = unwritten_owner(&store, name);
        let own = LockFile::make(store.place()).unwrap();
        let unused = match try_acquire(&store, &wanted(name), own, None).unwrap() {
            Err(unused) => unused,
            Ok(_) => panic!("{name} was acquired beside its living owner"),
        };
        let row = store.read(move |conn| lease::named(conn, name)).unwrap();
        assert_eq!(row, None, "the row that counts for nothing was reclaimed");
        // When the other owner is gone, the same lock file suffices.
        other.remove();
        assert!(try_acquire(&store, &wanted(name), unused, None).unwrap().is_ok());
    }
}
