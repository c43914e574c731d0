//! Which file is this: the table of `docs/files.md`, cell by cell. After any change to the file, its path or its directory, no job runs a second time
//! and no living run is ended by a worker that is not its own.

mod rows;
mod scene;

use crate::support::lives;

use rows::ROWS;
use scene::Scene;

const PAGE: &str = include_str!("../../../docs/files.md");

/// The rows of the page: what was done, and for each column the answers with a living and with a dead worker.
fn table() -> Vec<(String, Vec<[String; 2]>)> {
    let table = PAGE.split("<!-- places -->").nth(1).expect("a table");
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(2);
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
        let what = cells.next().expect("a first cell");
        let pair = |cell: String| {
            let (alive, dead) = cell.split_once(" / ").unwrap_or_else(|| panic!("{what}: {cell}"));
            [alive.to_owned(), dead.to_owned()]
        };
        (what.clone(), cells.map(pair).collect())
    })
    .collect()
}

fn walk(alive: bool, of: impl Fn(usize) -> bool) {
    let table = table();
    assert_eq!(table.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), ROWS.iter().map(|row| row.0).collect::<Vec<_>>());
    let mut wrong = Vec::new();
    for (n, ((what, cells), (_, act))) in table.iter().zip(ROWS).enumerate() {
        if !of(n) || std::env::var("ROW").is_ok_and(|row| row != *what) {
            continue;
        }
        let said: Vec<&str> = cells.iter().map(|cell| cell[usize::from(!alive)].as_str()).collect();
        let mut scene = Scene::new();
        act(&mut scene, alive);
        // Where the rows of the worker itself change, it ends by its own look; otherwise it is asked last.
        let ends_first = alive && said[3] == "holds";
        let readers = scene.word(&["ls", "-a"], "read");
        let add = scene.word(&["add", "--hold", "--", "true"], "takes");
        if ends_first {
            scene.let_go_on();
        }
        let first = if ends_first { scene.fate_by_itself() } else { String::new() };
        let work = if said[3] == "holds" { scene.work() } else { String::new() };
        let fix = scene.word(&["doctor", "--fix"], "repairs");
        if said[4] == "refused" {
            assert!(lives(scene.pid), "{what}: a worker that is not its own has ended the running job");
        }
        let work = if work.is_empty() { scene.work() } else { work };
        if said[3] == "refused" {
            assert!(lives(scene.pid), "{what}: a worker that is not its own has ended the running job");
        }
        scene.let_go_on();
        let worker = if ends_first { first } else { scene.fate() };
        let found = [worker, readers, add, work, fix];
        if found.iter().map(String::as_str).ne(said.iter().copied()) {
            println!("{what}: {}", scene.say(&["ls"]).err);
            println!("{what}: {}", std::fs::read_to_string(scene.file("second.log")).unwrap_or_default());
            println!("{}", std::fs::read_to_string(scene.file("worker.log")).unwrap_or_default());
            wrong.push(format!("{what}, worker {}: {found:?}, the page says {said:?}", if alive { "alive" } else { "dead" }));
        }
        scene.check(what);
    }
    assert!(wrong.is_empty(), "worker, readers, add, work and doctor --fix:\n{}", wrong.join("\n"));
}

#[test]
fn the_table_holds_with_a_living_worker_first_half() {
    walk(true, |n| n % 2 == 0);
}

#[test]
fn the_table_holds_with_a_living_worker_second_half() {
    walk(true, |n| n % 2 == 1);
}

#[test]
fn the_table_holds_with_a_dead_worker_first_half() {
    walk(false, |n| n % 2 == 0);
}

#[test]
fn the_table_holds_with_a_dead_worker_second_half() {
    walk(false, |n| n % 2 == 1);
}

#[test]
fn a_person_says_what_a_file_is_and_it_goes_on_as_that() {
    for (row, is, held) in [
        ("moved to another disk", "moved", false),
        ("moved to another disk", "copy", true),
        ("a backup, opened where it was written", "copy", true),
        ("a copy of the file alone", "copy", true),
        ("a copy of the file and its directory", "copy", true),
    ] {
        let mut scene = Scene::new();
        let act = ROWS.iter().find(|(what, _)| *what == row).expect("a row").1;
        act(&mut scene, false);
        let advice = scene.say(&["doctor"]).out;
        assert!(
            advice.contains("doctor --is") && !advice.contains("tenure work") && !advice.contains("--fix"),
            "{row}: {advice}"
        );
        if held && row != "moved to another disk" {
            assert_eq!(scene.say(&["doctor", "--is", "moved"]).code, 6, "{row}: the original is there");
        }
        let said = scene.say(&["doctor", "--is", is]);
        assert!(!said.err.contains("error") && said.out.contains("repaired"), "{row}: {said:?}");
        assert_eq!(scene.say(&["doctor", "--is", is]).code, 6, "{row}: it is at home now");
        if held {
            assert!(lives(scene.pid), "{row}: the original's run continues");
        }
        scene.say(&["work", "--until-idle"]);
        let job = scene.json(&["show", &scene.queued.to_string(), "--json"]).expect("a job");
        let found = (job["state"].as_str(), job["hold"] == "user");
        assert_eq!(found, if held { (Some("queued"), true) } else { (Some("done"), false) }, "{row}: {job}");
        assert_eq!(lives(scene.pid), held, "{row}: only of a file that was moved its own run is ended");
        scene.check(row);
    }
}
