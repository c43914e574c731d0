//! The worker is killed at every step of an add: the job exists once, and its user learns its number.

use std::process::Stdio;
use std::time::Duration;

use super::{ANN, Town, can_be_several};
use crate::support::strace::has_strace;
use crate::support::strace::killed_at;
use crate::support::{each, said, within};

/// What a worker calls for a request.
const CALLS: [&str; 5] = ["accept4", "recvfrom", "pwrite64", "fdatasync", "sendmsg"];
/// More calls of a kind than are made for a request.
const CALLS_MAX: usize = 60;
/// How long the last step of a request may come after its answer.
const AFTER_ANSWER: Duration = Duration::from_millis(300);

#[test]
fn an_add_is_done_once_wherever_its_worker_is_killed() {
    if !can_be_several("a killed system worker") || !has_strace() {
        return;
    }
    each(&CALLS, |call| {
        let town = Town::new();
        let (mut kills, mut next) = (0, Some(town.work(&["--queue", "of-no-job"], &[])));
        let (mut n, mut is_repeated) = (1, false);
        for _round in 0..2 * CALLS_MAX {
            let mut worker = next.take().unwrap_or_else(|| town.work(&["--queue", "of-no-job"], &[]));
            let tracer = killed_at(&worker, call, n, &town.nest);
            let label = format!("{call}-{n}");
            let client = town
                .tenure(ANN, &["add", "-l", &label, "--", "true"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let client = std::thread::spawn(move || said(client.wait_with_output().unwrap()));
            while !client.is_finished() && !worker.has_ended() {
                std::thread::sleep(Duration::from_millis(5)); // either of two processes ends first
            }
            let was_killed = within(AFTER_ANSWER, || worker.has_ended().then_some(())).is_some();
            drop(tracer);
            worker.kill();
            // The client repeats its request to the next worker.
            next = Some(town.work(&["--queue", "of-no-job"], &[]));
            let told = client.join().unwrap();
            // Killed before the client came, by a call that was not of its request.
            let was_early = was_killed && told.code == 5;
            // The next worker was not there within its patience: it does not know, and says so.
            let was_late = was_killed && told.code == 1 && told.err.contains("may have done it");
            assert!(told.code == 0 || was_early || was_late, "{label}: {told:?}");
            let ids = "SELECT coalesce(group_concat(id), '') FROM job WHERE label = ?1";
            let found: String = town.nest.sql().query_row(ids, [&label], |row| row.get(0)).unwrap();
            assert!(found == told.out.trim() || (was_late && !found.contains(',')), "{label}: there once: {found} {told:?}");
            if !was_killed {
                break;
            }
            kills += usize::from(!was_early);
            // A call that was not of a request may be made at any time: its number is tried once more.
            is_repeated = was_early && !is_repeated;
            n += usize::from(!is_repeated);
        }
        assert!((1..CALLS_MAX).contains(&kills), "{call}: {kills}");
        println!("{call}: {kills} steps");
    });
}
