use rustix::fs::{CWD, FileType, Mode};

use crate::host::condition::CODES;
use crate::host::lock::{Holder, Kind, WorkerLock};
use crate::host::sight::{Process, Sight};

use super::*;

fn nest() -> (tempfile::TempDir, Place, Holder) {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path().join("q.db"));
    std::fs::create_dir(place.dir()).unwrap();
    let holder = Holder { instance: "me".into(), ..Holder::unknown() };
    (dir, place, holder)
}

fn codes(place: &Place, holder: &Holder) -> Vec<String> {
    Report::read(place, holder).unwrap().conditions.into_iter().map(|one| one.advice.code.into_owned()).collect()
}

#[test]
fn what_is_set_is_read_by_others_until_it_is_cleared() {
    let (_dir, place, holder) = nest();
    let reporter = Reporter::start(&place, "me", &Options::work());
    assert_eq!(Report::read(&place, &holder).unwrap().phase, Phase::Starting);
    reporter.set(Condition::holding("disk_full", "no room", "make room"));
    reporter.set(Condition::notice("no_inotify", "none left", None));
    assert_eq!(codes(&place, &holder), ["disk_full", "no_inotify"]);
    assert!(reporter.holds_claims_beside(&[]));
    let since = Report::read(&place, &holder).unwrap().conditions[0].since_ms;
    reporter.set(Condition::holding("disk_full", "still no room", "make room"));
    let now = &reporter.now().conditions[0];
    assert_eq!((now.since_ms, now.advice.text.as_str()), (since, "still no room"));
    reporter.clear("disk_full");
    assert!(!reporter.holds_claims_beside(&[]));
    assert_eq!(codes(&place, &holder), ["no_inotify"]);
    reporter.phase(Phase::Draining);
    assert_eq!(Report::read(&place, &holder).unwrap().phase, Phase::Draining);
}

#[test]
fn a_step_of_the_reaper_is_a_sign_of_life_and_no_round() {
    let (_dir, place, _) = nest();
    let reporter = Reporter::start(&place, "me", &Options::work());
    let of_no_round = reporter.rounds().1;
    reporter.step_of_reaper();
    assert!(reporter.rounds().1 < of_no_round);
    assert_eq!(reporter.now().reaper_at_ms, 0);
}

#[test]
fn a_report_of_another_worker_or_a_torn_one_counts_for_nothing() {
    let (_dir, place, holder) = nest();
    let reporter = Reporter::start(&place, "me", &Options::work());
    let other = Holder { instance: "other".into(), ..Holder::unknown() };
    assert_eq!(Report::read(&place, &other), None);
    let whole = std::fs::read(place.worker_report()).unwrap();
    let length = 40 + whole.iter().skip(40).position(|byte| *byte == 0).unwrap();
    for n in 0..length {
        for (cut, flipped) in [(true, false), (false, true)] {
            let mut bytes = whole.clone();
            if cut {
                bytes.truncate(n);
            }
            if flipped {
                bytes[n] ^= 1;
            }
            assert!(Report::parse(&bytes).is_none_or(|read| read == reporter.now()), "{n} {cut} {flipped}");
        }
    }
    assert!(Report::read(&place, &holder).is_some());
    reporter.remove();
    assert_eq!(Report::read(&place, &holder), None);
}

#[test]
fn a_report_has_a_longest_length() {
    let (_dir, place, holder) = nest();
    let mut options = Options::work();
    options.scope.queues = (0..5_000).map(|n| format!("queue {n}")).collect();
    let reporter = Reporter::start(&place, "me", &options);
    for code in CODES {
        // Each byte of it takes six.
        reporter.set(Condition::notice(code, "\u{1}".repeat(5_000), None));
    }
    let read = Report::read(&place, &holder).unwrap();
    assert!(std::fs::metadata(place.worker_report()).unwrap().len() <= FILE_BYTES as u64);
    assert!(!read.queues.is_empty() && read.queues_cut);
    assert!(!read.conditions.is_empty() && read.conditions.len() < CODES.len());
}

#[test]
fn a_worker_is_seen_with_its_report_and_without() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path().join("q.db"));
    std::fs::create_dir(place.dir()).unwrap();
    // The lock is on the file as well, which must be there.
    rustix::fs::mknodat(CWD, place.db(), FileType::RegularFile, Mode::from_raw_mode(0o600), 0).unwrap();
    assert_eq!(Sight::read(&place).unwrap(), None);
    let lock = WorkerLock::take(&place, Kind::Work, 3, "me", 7).unwrap().unwrap();
    let bare = Sight::read(&place).unwrap().unwrap();
    assert_eq!((bare.report, bare.process, bare.claims_ago_ms), (None, Process::Runs, None));
    let reporter = Reporter::start(&place, "me", &Options::work());
    reporter.round_of_reaper();
    reporter.round_of_claims(2, &[]);
    reporter.phase(Phase::Serving);
    let seen = Sight::read(&place).unwrap().unwrap();
    assert_eq!(seen.report.unwrap().busy, 2);
    assert!(seen.claims_ago_ms.unwrap() < 60_000 && seen.reaper_ago_ms.unwrap() < 60_000);
    lock.release();
    assert_eq!(Sight::read(&place).unwrap(), None, "the report alone is nothing");
}
