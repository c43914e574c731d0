//! Directories of every shape, and planted links.

use std::fs as files;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

const ON: GoesOn<'static> = &|| true;

fn place() -> (tempfile::TempDir, Place) {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path().join("q.db"));
    files::create_dir(place.dir()).unwrap();
    (dir, place)
}

/// A directory outside, with something in it that must stay.
fn outside(dir: &tempfile::TempDir) -> PathBuf {
    let outside = dir.path().join("outside");
    files::create_dir(&outside).unwrap();
    files::write(outside.join("precious"), "x").unwrap();
    outside
}

fn is_untouched(outside: &Path) -> bool {
    let names: Vec<_> = files::read_dir(outside).unwrap().map(|e| e.unwrap().file_name()).collect();
    names == ["precious"] && files::read(outside.join("precious")).unwrap() == b"x"
}

/// Every name in it.
fn all(work: &Work) -> Vec<String> {
    files::read_dir(&work.path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_directory_is_made_filled_settled_measured_and_removed() {
    let (_dir, place) = place();
    assert!(Work::find(&place).unwrap().is_none());
    let work = Work::open(&place).unwrap();
    work.make(".new-1").unwrap();
    files::write(work.path_of(".new-1").join("a"), [7; 100_000]).unwrap();
    assert!(!is_there(&place, "k-1").unwrap());
    work.settle(".new-1", "k-1").unwrap();
    assert!(is_there(&place, "k-1").unwrap());
    assert!(work.size("k-1", ON).unwrap().unwrap() >= 100_000);
    assert_eq!(work.size("k-1", &|| false).unwrap(), None);
    assert_eq!(work.size("k-2", ON).unwrap(), None);
    assert!(work.remove("k-1", ON).unwrap());
    assert!(work.remove("k-1", ON).unwrap());
    assert_eq!(all(&work), [""; 0]);
}

#[test]
fn what_tenure_never_named_is_none_of_its_business() {
    let (_dir, place) = place();
    let work = Work::open(&place).unwrap();
    ["lost+found", ".snapshot", "k-0123abcd", ".new-1"].iter().for_each(|name| files::create_dir(work.path_of(name)).unwrap());
    assert_eq!(work.names().unwrap(), [".new-1", "k-0123abcd"]);
}

#[test]
fn a_file_with_two_names_is_counted_once() {
    let (_dir, place) = place();
    let work = Work::open(&place).unwrap();
    work.make("k").unwrap();
    files::write(work.path_of("k").join("a"), [7; 100_000]).unwrap();
    let once = work.size("k", ON).unwrap();
    files::hard_link(work.path_of("k").join("a"), work.path_of("k").join("b")).unwrap();
    assert_eq!(work.size("k", ON).unwrap(), once);
}

#[test]
fn nothing_is_put_in_the_place_of_what_is_there() {
    let (dir, place) = place();
    let work = Work::open(&place).unwrap();
    symlink(outside(&dir), work.path_of(".new-1")).unwrap();
    assert!(work.make(".new-1").is_err());
    work.make(".new-2").unwrap();
    work.make("k-1").unwrap();
    assert!(work.settle(".new-2", "k-1").is_err());
    assert!(work.settle(".new-2", ".new-1").is_err());
    assert!(work.settle(".new-1", "k-2").is_err(), "a link is not a directory that was filled");
    assert!(is_untouched(&dir.path().join("outside")));
}

#[test]
fn a_link_in_the_place_of_a_workspace_is_removed_as_a_link() {
    let (dir, place) = place();
    let outside = outside(&dir);
    let work = Work::open(&place).unwrap();
    for name in ["k-1", ".new-1", ".trash-1"] {
        symlink(&outside, work.path_of(name)).unwrap();
        assert!(!is_there(&place, name).unwrap());
        assert_eq!(work.size(name, ON).unwrap(), None);
        assert!(work.remove(name, ON).unwrap());
    }
    assert_eq!(all(&work), [""; 0]);
    assert!(is_untouched(&outside));
}

#[test]
fn a_link_in_the_place_of_work_itself_is_refused() {
    let (dir, place) = place();
    let outside = outside(&dir);
    files::create_dir(outside.join("k-1")).unwrap();
    symlink(&outside, place.work()).unwrap();
    assert!(Work::open(&place).unwrap_err().to_string().contains("not followed"));
    assert!(Work::find(&place).is_err());
    assert!(!is_there(&place, "k-1").unwrap());
    files::remove_file(place.work()).unwrap();
    files::write(place.work(), "").unwrap();
    assert!(Work::open(&place).is_err());
}

#[test]
fn a_tree_is_removed_and_nothing_outside_of_it() {
    let (dir, place) = place();
    let outside = outside(&dir);
    let work = Work::open(&place).unwrap();
    work.make("k").unwrap();
    let root = work.path_of("k");
    for (name, mode) in [("read-only", 0o500), ("closed", 0o000), ("open", 0o777)] {
        let sub = root.join(name).join("deeper");
        files::create_dir_all(&sub).unwrap();
        files::write(sub.join("file"), "x").unwrap();
        symlink(&outside, sub.join("link")).unwrap();
        symlink(outside.join("precious"), root.join(name).join("link")).unwrap();
        files::set_permissions(&sub, files::Permissions::from_mode(mode)).unwrap();
        files::set_permissions(root.join(name), files::Permissions::from_mode(mode)).unwrap();
    }
    symlink("..", root.join("up")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    files::set_permissions(&root, files::Permissions::from_mode(0o000)).unwrap();
    assert!(work.remove("k", ON).unwrap());
    assert_eq!(all(&work), [""; 0]);
    assert!(is_untouched(&outside));
}

#[test]
fn a_very_deep_and_wide_tree_is_removed() {
    let (_dir, place) = place();
    let work = Work::open(&place).unwrap();
    work.make("k").unwrap();
    for n in 0..3_000 {
        files::write(work.path_of("k").join(n.to_string()), "").unwrap();
    }
    let mut at = fs::openat(&work.fd, "k", DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..3_000 {
        fs::mkdirat(&at, "deep", Mode::RWXU).unwrap();
        at = fs::openat(&at, "deep", DIRECTORY, Mode::empty()).unwrap();
    }
    assert!(work.size("k", ON).unwrap().is_some());
    assert!(work.remove("k", ON).unwrap());
    assert_eq!(all(&work), [""; 0]);
}

#[test]
fn a_removal_that_was_ended_is_gone_on_with() {
    let (_dir, place) = place();
    let work = Work::open(&place).unwrap();
    work.make("k").unwrap();
    for n in 0..20 {
        files::create_dir_all(work.path_of("k").join(format!("{n}/a/b/c"))).unwrap();
    }
    let asked = std::cell::Cell::new(0);
    let few = || {
        asked.set(asked.get() + 1);
        asked.get() < 10
    };
    assert!(!work.remove("k", &few).unwrap());
    let left = work.names().unwrap();
    assert!(left.len() == 1 && left[0].starts_with(TRASH_PREFIX), "{left:?}");
    assert!(work.remove(&left[0], ON).unwrap());
    assert_eq!(all(&work), [""; 0]);
}

#[test]
fn who_comes_second_finishes_a_removal_that_another_began() {
    let (_dir, place) = place();
    let work = Work::open(&place).unwrap();
    for name in ["k-1", "k-2"] {
        work.make(name).unwrap();
        files::write(work.path_of(name).join("file"), "").unwrap();
        assert!(!work.remove(name, &|| false).unwrap(), "it was ended at once");
    }
    assert_eq!(work.names().unwrap().len(), 2);
    assert!(work.remove("k-1", ON).unwrap());
    assert!(work.names().unwrap().iter().all(|name| name.ends_with(".k-2")), "what is left is the other one");
    let long = format!("{}-00000000", "x".repeat(240));
    files::create_dir(work.path_of(&long)).unwrap();
    assert!(work.remove(&long, ON).unwrap() && !work.path_of(&long).exists(), "a name without room for another");
}

#[test]
fn two_that_remove_the_same_tree_both_succeed() {
    let (_dir, place) = place();
    let work = Work::open(&place).unwrap();
    for _ in 0..50 {
        work.make(".trash-1").unwrap();
        for n in 0..10 {
            files::create_dir_all(work.path_of(".trash-1").join(format!("{n}/a/b"))).unwrap();
            files::write(work.path_of(".trash-1").join(format!("{n}/a/file")), "").unwrap();
        }
        std::thread::scope(|scope| {
            let both = [scope.spawn(|| work.remove(".trash-1", ON)), scope.spawn(|| work.remove(".trash-1", ON))];
            both.into_iter().for_each(|one| assert!(one.join().unwrap().unwrap()));
        });
        assert_eq!(all(&work), [""; 0]);
    }
}

#[test]
fn only_names_of_one_part_are_taken() {
    let (dir, place) = place();
    let outside = outside(&dir);
    let work = Work::open(&place).unwrap();
    for name in ["", ".", "..", "../outside", "a/b", "/", outside.to_str().unwrap()] {
        assert!(work.make(name).is_err() && work.remove(name, ON).is_err() && work.size(name, ON).is_err(), "{name:?}");
    }
    assert!(is_untouched(&outside));
}
