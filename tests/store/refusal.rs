//! A file that cannot be kept safe is refused, with the remedy; and what is refused is left as it was.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rusqlite::Connection;
use tenure::error::{Error, exit};
use tenure::store::{Options, Role, Store};

use crate::store::harness::{Home, add, count, open};
use crate::store::helper;
use crate::support::untested::not_tested;

const ROLES: [Role; 3] = [Role::Reader, Role::Client, Role::Worker];

/// What a refusal said. It must be an [`Error::File`] and name the file.
fn refusal(path: &Path, role: Role) -> String {
    let error = Store::open(path, Options::new(role)).err().unwrap_or_else(|| panic!("{role:?} opened {}", path.display()));
    assert_eq!(error.exit_code(), exit::FILE, "{role:?}: {error}");
    let text = error.to_string();
    assert!(text.contains(path.file_name().unwrap().to_str().unwrap()), "{role:?}: {text}");
    text
}

#[test]
fn links_are_followed_and_lead_to_one_file() {
    let home = Home::new();
    let real = home.dir.path().join("real");
    fs::create_dir(&real).unwrap();
    let link = home.dir.path().join("link.db");
    symlink("real/t.db", &link).unwrap();
    symlink("real", home.dir.path().join("way")).unwrap();
    let by_link = open(&link, Role::Client);
    assert_eq!(by_link.place().db(), real.canonicalize().unwrap().join("t.db"), "a link to nothing is followed too");
    add(&by_link, "a");
    for name in ["way/t.db", "real/../link.db", "way/../real/t.db"] {
        assert_eq!(count(&open(&home.dir.path().join(name), Role::Reader)), 1, "{name}");
    }
    symlink("round", home.dir.path().join("round")).unwrap();
    assert!(refusal(&home.dir.path().join("round"), Role::Client).contains("circle"));
}

#[test]
fn a_second_hard_link_is_refused() {
    let home = Home::new();
    drop(home.open(Role::Client));
    fs::hard_link(home.db(), home.dir.path().join("twin.db")).unwrap();
    for role in ROLES {
        assert!(refusal(&home.db(), role).contains("hard links"));
    }
    fs::remove_file(home.dir.path().join("twin.db")).unwrap();
    home.open(Role::Worker);
}

#[test]
fn a_file_that_is_not_regular_is_refused() {
    let home = Home::new();
    let path = |name: &str| home.dir.path().join(name);
    fs::create_dir(path("dir.db")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, path("fifo.db"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    for role in ROLES {
        assert!(refusal(&path("dir.db"), role).contains("is a directory"));
        assert!(refusal(&path("fifo.db"), role).contains("not a regular file"));
    }
    fs::write(path("file"), "").unwrap();
    assert!(Store::open(&path("file").join("t.db"), Options::new(Role::Client)).is_err());
    assert!(matches!(Store::open(Path::new(""), Options::new(Role::Client)), Err(Error::Invalid(_))));
}

#[test]
fn foreign_damaged_and_newer_files_are_refused_unchanged() {
    let home = Home::new();
    let path = |name: &str| home.dir.path().join(name);
    fs::write(path("text"), "a text that is long enough to be looked at, ".repeat(30)).unwrap();
    fs::write(path("short"), "x").unwrap();
    Connection::open(path("foreign")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    Connection::open(path("marked")).unwrap().execute_batch("PRAGMA application_id = 7").unwrap();
    drop(open(&path("newer"), Role::Client));
    Connection::open(path("newer")).unwrap().execute_batch("PRAGMA user_version = 9999").unwrap();
    for (name, says) in [
        ("text", "not a tenure file"),
        ("short", "not a tenure file"),
        ("foreign", "another program"),
        ("marked", "another program"),
        ("newer", "upgrade tenure"),
    ] {
        let before = fs::read(path(name)).unwrap();
        for role in ROLES {
            let text = refusal(&path(name), role);
            assert!(text.contains(says), "{name} {role:?}: {text}");
            assert!(fs::read(path(name)).unwrap() == before || name == "newer", "{name} {role:?}");
        }
    }
}

#[test]
fn a_truncated_and_a_scribbled_file_do_not_start_a_worker() {
    for (name, damage) in [("truncated", true), ("scribbled", false)] {
        let home = Home::new();
        let client = home.open(Role::Client);
        for n in 0..300 {
            add(&client, &format!("{n}{}", "x".repeat(300)));
        }
        drop(client);
        let mut bytes = fs::read(home.db()).unwrap();
        let middle = bytes.len() / 8192 * 4096;
        if damage {
            bytes.truncate(middle);
        } else {
            bytes[middle..middle + 4096].fill(0x5a);
        }
        fs::write(home.db(), bytes).unwrap();
        let text = refusal(&home.db(), Role::Worker);
        assert!(text.contains("damaged") && text.contains("tenure restore"), "{name}: {text}");
    }
}

#[test]
fn an_empty_file_is_new_but_not_to_a_reader() {
    let home = Home::new();
    fs::write(home.db(), "").unwrap();
    assert!(refusal(&home.db(), Role::Reader).contains("empty"));
    let client = home.open(Role::Client);
    assert!(client.opened().created);
    assert_eq!(add(&client, "a"), 1);
}

#[test]
fn a_file_that_came_out_of_a_copy_in_another_mode_is_taken_over() {
    let home = Home::new();
    add(&home.open(Role::Client), "a");
    home.foreign().query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).unwrap();
    assert_eq!(count(&home.open(Role::Reader)), 1);
    assert_eq!(add(&home.open(Role::Worker), "b"), 2);
    let foreign = home.foreign();
    foreign.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).unwrap();
    foreign.execute_batch("BEGIN; SELECT count(*) FROM job").unwrap();
    assert!(refusal(&home.db(), Role::Client).contains("WAL mode"));
}

#[test]
fn a_worker_does_not_trust_what_others_may_write() {
    let home = Home::new();
    add(&home.open(Role::Client), "a");
    let open = |allow_shared| Store::open(&home.db(), Options { allow_shared, ..Options::new(Role::Worker) });
    for (path, loose, tight) in
        [(home.db(), 0o660, 0o600), (home.dir.path().to_owned(), 0o777, 0o700), (home.dir.path().join("t.db.d"), 0o720, 0o700)]
    {
        fs::set_permissions(&path, fs::Permissions::from_mode(loose)).unwrap();
        let text = open(false).err().unwrap().to_string();
        assert!(text.contains("chmod go-w") && text.contains("--allow-shared"), "{text}");
        assert_eq!(count(&open(true).unwrap()), 1);
        assert_eq!(count(&home.open(Role::Client)), 1, "a client only adds");
        fs::set_permissions(&path, fs::Permissions::from_mode(tight)).unwrap();
    }
    open(false).unwrap();
}

/// What a user without rights is told about a file.
fn as_nobody(binary: &Path, file: &Path, role: &str) -> String {
    use std::os::unix::process::CommandExt;
    let mut command = helper::command_of(binary, "try", file, role);
    let output = command.uid(65534).gid(65534).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let at = said
        .find("WELL")
        .or_else(|| said.find("ERROR"))
        .unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    said[at..].lines().next().unwrap().to_owned()
}

#[test]
fn a_read_only_file_or_directory_is_read_and_not_written() {
    if !rustix::process::geteuid().is_root() {
        return not_tested("a user without rights", "root");
    }
    let home = Home::new();
    let client = home.open(Role::Client);
    add(&client, "a");
    let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    // The directory and a copy of the test program are within reach of the user nobody.
    chmod(home.dir.path(), 0o755);
    let program = home.dir.path().join("program");
    crate::support::copy_program(std::env::current_exe().unwrap(), &program);
    let as_nobody = |file: &Path, role: &str| as_nobody(&program, file, role);
    let text = as_nobody(&home.db(), "reader");
    assert!(text.contains("permission") && text.contains("t.db"), "{text}");
    chmod(&home.db(), 0o644);
    for name in ["t.db-wal", "t.db-shm"] {
        chmod(&home.dir.path().join(name), 0o644);
    }
    assert_eq!(as_nobody(&home.db(), "reader"), "WELL 1", "while another process has it open, a reader can read");
    for role in ["client", "worker"] {
        let text = as_nobody(&home.db(), role);
        assert!(text.starts_with("ERROR") && text.contains("t.db"), "{role}: {text}");
    }
    drop(client);
    let text = as_nobody(&home.db(), "reader");
    assert!(text.starts_with("ERROR") && text.contains("permission") && text.contains("t.db"), "{text}");
    let nowhere = as_nobody(&home.dir.path().join("new.db"), "client");
    assert!(nowhere.contains("Permission denied; check its owner"), "{nowhere}");
    assert_eq!(count(&home.open(Role::Client)), 1);
}
