use super::*;
use crate::store::file::home::{announce, note_replaced, settle_in};

const WAS: &str = "/was/q.db";

fn evidence(path: &str, file: u64, directory: u64, home: bool) -> Evidence {
    let home =
        home.then(|| Home { file_ids: vec!["f".into()], path: WAS.into(), file: 1, directory: 2, replaced: None, boot: None });
    let noted = Some(Noted { path: WAS.into(), file: 1 });
    let (file_id, path) = ("f".into(), path.into());
    Evidence { path, file, directory, inodes_stay: true, file_id, is_used: true, noted, is_older: false, home, has_stamp: false }
}

fn word(standing: &Standing) -> &'static str {
    match standing {
        Standing::Home => "home",
        Standing::Moved => "moved",
        Standing::OlderCopy(_) => "older",
        Standing::Copy { .. } => "copy",
        Standing::Apart { .. } => "apart",
    }
}

#[test]
fn each_mixture_of_path_and_inodes_has_its_answer() {
    let nothing = Before::default();
    let original = Before { other_file: Some(1), directory_is_ours: true, ..nothing };
    let directory = Before { directory_is_ours: true, ..nothing };
    let log = Before { log_alone: true, ..nothing };
    let opened = Before { opened_by: Some(7), ..nothing };
    for (path, file, dir, has_home, before, expected) in [
        (WAS, 1, 2, true, nothing, "home"),
        ("/now/q.db", 1, 2, true, nothing, "moved"),
        // A snapshot of the volume has the same inodes, and the original is there.
        ("/now/q.db", 1, 2, true, original, "copy"),
        ("/now/q.db", 1, 2, true, log, "apart"),
        ("/now/q.db", 1, 2, true, opened, "apart"),
        (WAS, 1, 9, true, nothing, "moved"),
        (WAS, 9, 2, true, nothing, "older"),
        ("/now/q.db", 9, 9, true, nothing, "copy"),
        (WAS, 9, 9, true, nothing, "copy"),
        ("/now/q.db", 9, 2, true, Before { other_file: Some(1), ..nothing }, "apart"),
        (WAS, 1, 2, false, nothing, "moved"),
        (WAS, 9, 2, false, nothing, "copy"),
        ("/now/q.db", 1, 2, false, directory, "apart"),
        ("/now/q.db", 1, 2, false, nothing, "copy"),
        ("/now/q.db", 9, 2, false, original, "copy"),
    ] {
        let standing = evidence(path, file, dir, has_home).assess(|_| before);
        assert_eq!(word(&standing), expected, "{path} {file} {dir} {has_home} {before:?}");
    }
}

#[test]
fn what_a_worker_saw_counts_until_the_next_has_held_the_jobs() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path().join("q.db"));
    fs::create_dir(place.dir()).unwrap();
    let _empty = fs::File::create(dir.path().join("q.db")).unwrap();
    settle_in(&place, "f").unwrap();
    note_replaced(&place, 7, "its id was f, and is g").unwrap();
    note_replaced(&place, 8, "later").unwrap();
    announce(&place, "h").unwrap();
    let home = load(&place).unwrap().unwrap();
    assert_eq!((home.file_ids.len(), home.replaced.as_ref().map(|replaced| replaced.since_ms)), (2, Some(7)));
    let mut evidence = evidence(&home.path.clone(), home.file, home.directory, true);
    evidence.home = Some(home);
    assert_eq!(word(&evidence.assess(|_| Before::default())), "older");
    settle_in(&place, "h").unwrap();
    evidence.home = load(&place).unwrap();
    assert_eq!(word(&evidence.assess(|_| Before::default())), "home");
}

#[test]
fn a_foreign_directory_and_an_earlier_version_differ() {
    let mut of_another = evidence(WAS, 1, 2, true);
    of_another.file_id = "g".into();
    assert_eq!(word(&of_another.assess(|_| Before::default())), "apart");
    let mut earlier = evidence(WAS, 1, 2, false);
    earlier.noted = None;
    assert_eq!(word(&earlier.assess(|_| Before::default())), "copy");
    let changes: [fn(&mut Evidence); 3] = [|e| e.has_stamp = true, |e| e.is_used = false, |e| e.is_older = true];
    for change in changes {
        let mut earlier = earlier.clone();
        change(&mut earlier);
        assert_eq!(word(&earlier.assess(|_| Before::default())), "moved");
    }
}
