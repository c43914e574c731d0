//! Run files and their records, with any content.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};

use proptest::prelude::*;
use tenure::job::verdict::Progress;
use tenure::job::{Cause, Exit, Nonce, RunId};
use tenure::run::record::{Parsed, parse, parse_line};
use tenure::run::runfile::{self, Inspection, RunFile, inspect};
use tenure::run::{Drained, Exited, Header, Kept, MemoryBy, NotExecuted, Record, Started, Usage};

use crate::run::harness::{Bench, header};

fn any_header() -> impl Strategy<Value = Header> {
    (".{0,40}", any::<i64>(), any::<[u8; 16]>(), "[0-9a-f-]{36}", any::<u64>()).prop_map(
        |(file_id, run, nonce, boot_id, pid_ns)| Header {
            file_id,
            run: RunId(run),
            nonce: Nonce(nonce),
            boot_id,
            pid_ns,
            pid_ns_ends: pid_ns % 2 == 0,
            asks: false,
        },
    )
}

fn any_kept() -> impl Strategy<Value = Kept> {
    (any::<[u64; 2]>(), any::<[Option<u64>; 3]>()).prop_map(
        |([boot_ms, grace_ms], [timeout_ms, max_runtime_ms, idle_timeout_ms])| Kept {
            boot_ms,
            timeout_ms,
            max_runtime_ms,
            idle_timeout_ms,
            grace_ms,
        },
    )
}

fn any_record() -> impl Strategy<Value = Record> {
    let exit = prop_oneof![any::<i32>().prop_map(Exit::Code), any::<i32>().prop_map(Exit::Signal)];
    let cause = proptest::option::of(proptest::sample::select(Cause::ALL));
    let memory_by = proptest::sample::select(vec![None, Some(MemoryBy::Cgroup), Some(MemoryBy::Rlimit)]);
    prop_oneof![
        any::<i64>().prop_map(|at_ms| Record::Prepare { at_ms }),
        (any::<i32>(), any::<i32>(), any::<u64>(), any::<i64>(), proptest::option::of(any_kept())).prop_map(
            |(pid, shim_pid, shim_start_ticks, at_ms, kept)| Record::Started(Started {
                pid,
                shim_pid,
                shim_start_ticks,
                at_ms,
                kept
            })
        ),
        (any::<i32>(), any::<bool>(), ".{0,60}", any::<i64>())
            .prop_map(|(errno, ours, text, at_ms)| Record::Failed(NotExecuted { errno, ours, text, at_ms })),
        (exit, cause, any::<i64>(), any::<Option<u64>>()).prop_map(|(exit, cause, at_ms, boot_ms)| Record::Exited(Exited {
            exit,
            cause,
            at_ms,
            boot_ms
        })),
        (any::<[u64; 3]>(), any::<u32>(), ".{0,60}", any::<bool>(), memory_by, any::<i64>()).prop_map(
            |([max_rss_bytes, user_ms, system_ms], killed, leftovers, out_of_memory, memory_by, at_ms)| Record::Drained(
                Drained {
                    usage: Usage { max_rss_bytes, user_ms, system_ms },
                    killed,
                    leftovers,
                    out_of_memory,
                    memory_by,
                    at_ms
                }
            )
        ),
    ]
}

fn file_of(header: &Header, records: &[Record]) -> Vec<u8> {
    records.iter().fold(header.to_line(), |mut bytes, record| {
        bytes.extend(record.to_line());
        bytes
    })
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(header in any_header(), record in any_record()) {
        let line = record.to_line();
        prop_assert_eq!(parse_line(line.strip_suffix(b"\n").unwrap()), Parsed::Record(record.clone()));
        let (read, records) = parse(&file_of(&header, &[record])).unwrap();
        prop_assert_eq!(read, header);
        prop_assert!(records.progress() != Progress::Drained);
    }

    #[test]
    fn no_bytes_are_too_hostile(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = parse(&bytes);
        prop_assert!(!matches!(parse_line(&bytes), Parsed::Record(_)));
    }

    #[test]
    fn damage_hides_what_follows_and_changes_nothing_before(
        header in any_header(), records in proptest::collection::vec(any_record(), 1..5), at in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let mut bytes = file_of(&header, &records);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let first_line = header.to_line().len();
        match parse(&bytes) {
            Err(_) => prop_assert!(at < first_line),
            Ok((read, read_records)) => {
                prop_assert_eq!(read, header);
                let mut whole = tenure::run::Records::default();
                let mut end = first_line;
                for record in &records {
                    end += record.to_line().len();
                    if end > at {
                        break;
                    }
                    whole.add(record.clone());
                }
                prop_assert_eq!(read_records, whole);
            }
        }
    }

    #[test]
    fn each_beginning_of_a_file_is_a_beginning_of_its_records(
        header in any_header(), records in proptest::collection::vec(any_record(), 1..5), cut in any::<prop::sample::Index>(),
    ) {
        let bytes = file_of(&header, &records);
        let cut = cut.index(bytes.len() + 1);
        let mut end = header.to_line().len();
        match parse(&bytes[..cut]) {
            Err(_) => prop_assert!(cut < end),
            Ok((_, read)) => {
                let mut whole = tenure::run::Records::default();
                for record in &records {
                    end += record.to_line().len();
                    if end <= cut {
                        whole.add(record.clone());
                    }
                }
                prop_assert_eq!(read, whole);
            }
        }
    }
}

fn sealed(text: &str) -> Vec<u8> {
    format!("{text} #{:08x}\n", crc32fast::hash(text.as_bytes())).into_bytes()
}

#[test]
fn files_of_the_next_version_can_be_read() {
    let header = b"tenure-run 1 file=f run=5 nonce=000102030405060708090a0b0c0d0e0f boot=b pidns=1 colour=red".as_slice();
    let mut bytes = sealed(std::str::from_utf8(header).unwrap());
    for line in ["PREPARE at=1", "PAUSED at=2 why=because", "EXITED code=3 at=4 mood=good", "DRAINED"] {
        bytes.extend(sealed(line));
    }
    let (_, records) = parse(&bytes).unwrap();
    assert_eq!(records.exited, Some(Exited { exit: Exit::Code(3), cause: None, at_ms: 4, boot_ms: None }));
    assert_eq!(records.drained, None, "a record without its values is damaged");
    let unknown_cause = [sealed(std::str::from_utf8(header).unwrap()), sealed("EXITED code=0 cause=boredom at=4")].concat();
    assert_eq!(parse(&unknown_cause).unwrap().1.exited, None, "an end for a reason that we do not know is not a success");
    for (wrong, why) in [("tenure-run 2 file=f", "format"), ("other 1", "not a run file"), ("tenure-run 1 run=5", "lacks")] {
        assert!(parse(&sealed(wrong)).unwrap_err().contains(why), "{wrong}");
    }
    assert!(parse(b"").is_err());
}

#[test]
fn all_records_of_a_run_fit_into_a_block_and_the_smallest_pipe() {
    let long = "\u{1}".repeat(5_000);
    let header = Header {
        file_id: "f".repeat(64),
        run: RunId(i64::MAX),
        nonce: Nonce([255; 16]),
        boot_id: "b".repeat(36),
        pid_ns: u64::MAX,
        pid_ns_ends: true,
        asks: false,
    };
    let drained = Drained {
        usage: Usage { max_rss_bytes: u64::MAX, user_ms: u64::MAX, system_ms: u64::MAX },
        killed: u32::MAX,
        leftovers: long.clone(),
        out_of_memory: true,
        memory_by: Some(MemoryBy::Cgroup),
        at_ms: i64::MIN,
    };
    let records = [
        Record::Prepare { at_ms: i64::MIN },
        Record::Started(Started {
            pid: i32::MIN,
            shim_pid: i32::MIN,
            shim_start_ticks: u64::MAX,
            at_ms: i64::MIN,
            kept: Some(Kept {
                boot_ms: u64::MAX,
                timeout_ms: Some(u64::MAX),
                max_runtime_ms: Some(u64::MAX),
                idle_timeout_ms: Some(u64::MAX),
                grace_ms: u64::MAX,
            }),
        }),
        Record::Failed(NotExecuted { errno: i32::MIN, ours: false, text: long, at_ms: i64::MIN }),
        Record::Exited(Exited {
            exit: Exit::Signal(i32::MIN),
            cause: Some(Cause::Shutdown),
            at_ms: i64::MIN,
            boot_ms: Some(u64::MAX),
        }),
        Record::Drained(drained),
    ];
    assert!(file_of(&header, &records).len() <= 4096, "{}", file_of(&header, &records).len());
}

#[test]
fn a_run_file_is_there_whole_and_locked_or_not_at_all() {
    let bench = Bench::without_spawner();
    let launch = bench.command(&["true"]);
    assert_eq!(inspect(&bench.place, launch.run).unwrap(), Inspection::Missing);
    assert_eq!(runfile::list(&bench.place).unwrap(), []);
    let file = RunFile::create(&bench.place, &header(&launch)).unwrap();
    assert!(
        matches!(inspect(&bench.place, launch.run).unwrap(), Inspection::Found { header: h, locked: true, .. } if h == header(&launch))
    );
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(bench.place.run_file(launch.run)), 0o600);
    assert_eq!(mode(bench.place.runs()), 0o700);
    assert_eq!(mode(bench.place.log_dir(launch.run)), 0o700);
    let again = RunFile::create(&bench.place, &header(&launch)).unwrap_err().to_string();
    assert!(again.contains("exists"), "{again}");
    assert!(
        matches!(inspect(&bench.place, launch.run).unwrap(), Inspection::Found { locked: true, .. }),
        "the first one is untouched"
    );
    drop(file);
    assert!(matches!(inspect(&bench.place, launch.run).unwrap(), Inspection::Found { locked: false, .. }));
    runfile::unlink(&bench.place, launch.run).unwrap();
    runfile::unlink(&bench.place, launch.run).unwrap();
    assert_eq!(fs::read_dir(bench.place.runs()).unwrap().count(), 0, "no temporary file is left");
}

#[test]
fn a_file_that_is_not_this_runs_run_file_is_unreadable() {
    let bench = Bench::without_spawner();
    let launch = bench.command(&["true"]);
    drop(RunFile::create(&bench.place, &header(&launch)).unwrap());
    let path = |id: i64| bench.place.run_file(RunId(id));
    fs::copy(path(launch.run.0), path(900)).unwrap();
    symlink(path(launch.run.0), path(901)).unwrap();
    fs::write(path(902), b"\0\xff\n\n").unwrap();
    fs::create_dir(path(903)).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, path(904), rustix::fs::Mode::RUSR).unwrap();
    fs::write(path(905), b"").unwrap();
    for id in 900..=905 {
        assert!(matches!(inspect(&bench.place, RunId(id)).unwrap(), Inspection::Unreadable(_)), "{id}");
    }
}

#[test]
fn lists_are_in_order_and_know_our_names_only() {
    let bench = Bench::without_spawner();
    assert_eq!(runfile::highest_log(&bench.place).unwrap(), None);
    for id in [3, 20, 100] {
        let launch = crate::run::harness::launch_in(&bench.path(""), &bench.place, RunId(id), &["true"]);
        drop(RunFile::create(&bench.place, &header(&launch)).unwrap());
    }
    for name in [".7.tmp-0123", "x", "8.old", "+9"] {
        fs::write(bench.place.runs().join(name), "").unwrap();
    }
    assert_eq!(runfile::list(&bench.place).unwrap(), [RunId(3), RunId(20), RunId(100)]);
    assert_eq!(runfile::sweep_temporaries(&bench.place).unwrap(), 1);
    assert!(!bench.place.runs().join(".7.tmp-0123").exists() && bench.place.runs().join("x").exists());
    for id in [5, 9_999, 20_001] {
        fs::create_dir_all(bench.place.log_dir(RunId(id))).unwrap();
        fs::write(bench.place.log_file(RunId(id)), "").unwrap();
    }
    fs::create_dir_all(bench.place.log_dir(RunId(12_340_000))).unwrap();
    assert_eq!(runfile::highest_log(&bench.place).unwrap(), Some(RunId(20_001)), "empty directories do not count");
}

#[test]
fn a_sweep_beside_a_worker_that_is_ending_never_fails() {
    let bench = Bench::without_spawner();
    fs::create_dir_all(bench.place.runs()).unwrap();
    let ends = std::thread::scope(|scope| {
        let ending = scope.spawn(|| {
            for id in 1..500 {
                // A sweep that has much to remove is long between its look and its last act.
                (0..20).for_each(|n| fs::write(bench.place.runs().join(format!(".{id}.tmp-{n}")), "").unwrap());
                let launch = crate::run::harness::launch_in(&bench.path(""), &bench.place, RunId(id), &["true"]);
                // The sweep may take an unfinished file away.
                drop(RunFile::create(&bench.place, &header(&launch)));
                let _unfinished = runfile::retire(&bench.place, RunId(id));
            }
        });
        while !ending.is_finished() {
            runfile::sweep_temporaries(&bench.place).unwrap();
        }
        ending.join()
    });
    ends.unwrap();
    runfile::sweep_temporaries(&bench.place).unwrap();
    assert_eq!(fs::read_dir(bench.place.runs()).unwrap().count(), 0, "nothing unfinished is left");
}

#[test]
fn a_file_is_used_again_only_when_its_lock_is_free() {
    let bench = Bench::without_spawner();
    let launch = |id| crate::run::harness::launch_in(&bench.path(""), &bench.place, RunId(id), &["true"]);
    let file = RunFile::create(&bench.place, &header(&launch(1))).unwrap();
    // The copy of the shim, which ends a moment after its run is settled.
    let of_the_shim = file.as_fd().try_clone_to_owned().unwrap();
    drop(file);
    let retired = runfile::retire(&bench.place, RunId(1)).unwrap();
    let before = fs::read(&retired).unwrap();
    assert!(RunFile::create_from(&bench.place, &header(&launch(2)), &retired).unwrap().is_none());
    assert_eq!(fs::read(&retired).unwrap(), before);
    assert_eq!(inspect(&bench.place, RunId(2)).unwrap(), Inspection::Missing);
    drop(of_the_shim);
    // What its run had recorded is not the next one's.
    fs::write(&retired, [before, Record::Prepare { at_ms: 1 }.to_line()].concat()).unwrap();
    let again = RunFile::create_from(&bench.place, &header(&launch(2)), &retired).unwrap();
    assert_eq!(again.map(|file| file.run()), Some(RunId(2)));
    assert!(!retired.exists());
    match inspect(&bench.place, RunId(2)).unwrap() {
        Inspection::Found { header, records, .. } => assert_eq!((header.run, records.progress()), (RunId(2), Progress::Nothing)),
        other => panic!("{other:?}"),
    }
}
