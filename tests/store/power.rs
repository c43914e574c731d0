//! After a power cut, each acknowledged write is there, and the file is whole.
//!
//! A program is recorded while it writes. Then the power is cut after each of its calls: of what was not synced by then, anything may have reached
//! the disk or not. Each disk that may be found is made and opened. A control that acknowledges too early must be caught, or the test has no teeth.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

use rusqlite::Connection;
use tenure::place::Place;
use tenure::store::{Role, file::home, make_beside};

use crate::store::harness::{add, open};
use crate::store::recording::{Event, Inode, Op, Recording, has_strace, record};
use crate::support::{Dice, seed_or};

/// Disks that are opened for each recording and each way in which a directory may keep its names.
const IMAGES_MAX: usize = 250;
/// One disk in so many is given to a worker as well, which must be able to continue with it.
const GO_ON_EVERY: usize = 40;
const SECTOR_BYTES: usize = 512;

/// When a name that was made or removed is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// With any later sync, as on ext4.
    WithAnySync,
    /// With a later sync of the directory and not before, as POSIX allows.
    WithTheDirectory,
}

/// What becomes of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    AllThere,
    AllGone,
    OnlyData,
    OnlyMetadata,
    /// The earliest so many are there.
    Head,
    /// Only the latest so many are there.
    Tail,
    /// Each by itself, by chance.
    Chance,
    /// Each sector by itself, by chance.
    Torn,
}

const FATES: [Fate; 12] = [
    Fate::AllThere,
    Fate::AllGone,
    Fate::OnlyData,
    Fate::OnlyMetadata,
    Fate::Head,
    Fate::Tail,
    Fate::Chance,
    Fate::Chance,
    Fate::Chance,
    Fate::Chance,
    Fate::Torn,
    Fate::Torn,
];

#[derive(Debug, Default)]
struct Found {
    images: usize,
    damaged: usize,
    lost: usize,
    /// A commit is there and one before it is not.
    gaps: usize,
    example: String,
}

fn cut_power(workloads: &[&str], scheme: &str) -> Vec<(String, Found)> {
    let seed = seed_or(1);
    let mut all = Vec::new();
    for workload in workloads {
        let dir = tempfile::Builder::new().prefix("tenure-power-").tempdir().unwrap();
        let recording = record(workload, scheme, dir.path());
        assert!(recording.acks.len() >= 4, "{workload}: {} acknowledgements", recording.acks.len());
        let mut found = Found::default();
        for names in [Names::WithAnySync, Names::WithTheDirectory] {
            enumerate(&recording, names, &mut Dice::new(seed), &mut found);
        }
        println!("{scheme} {workload}: {} calls, {} acknowledged; {found:?}", recording.events.len(), recording.acks.len());
        all.push(((*workload).to_owned(), found));
    }
    all
}

const ALL: [&str; 6] = ["checkpoints", "generations", "growth", "foreign", "killed", "two"];

#[test]
fn a_flush_after_the_commit_loses_nothing() {
    if !has_strace() {
        return;
    }
    let workloads: Vec<_> = ALL.into_iter().chain(["worker"]).collect();
    for (workload, found) in cut_power(&workloads, "flush") {
        assert!(found.images > 50 && found.lost + found.damaged + found.gaps == 0, "{workload}: {found:?}");
    }
}

#[test]
fn full_loses_nothing() {
    if !has_strace() {
        return;
    }
    for (workload, found) in cut_power(&["checkpoints", "generations", "two", "worker"], "full") {
        assert!(found.images > 50 && found.lost + found.damaged + found.gaps == 0, "{workload}: {found:?}");
    }
}

#[test]
fn an_acknowledgement_before_the_flush_loses_jobs() {
    if !has_strace() {
        return;
    }
    for (workload, found) in cut_power(&["checkpoints", "generations", "growth", "killed"], "normal") {
        assert!(found.lost > 0, "{workload}: {found:?}");
        assert_eq!(found.damaged + found.gaps, 0, "{workload}: {found:?}");
    }
}

/// Cuts the power at a random choice of instants and fates, every second one at an acknowledgement: what was promised just then
/// may not be on the disk.
fn enumerate(recording: &Recording, names: Names, chance: &mut Dice, found: &mut Found) {
    let scratch = Scratch::new();
    let mut instants: BTreeSet<usize> = recording.events.iter().flat_map(|event| [event.entered, event.returned]).collect();
    instants.extend(recording.acks.iter().map(|(at, _)| *at));
    let mut cuts: Vec<(usize, Fate)> = instants.iter().flat_map(|at| FATES.map(|fate| (*at, fate))).collect();
    chance.shuffle(&mut cuts);
    let acks: BTreeSet<usize> = recording.acks.iter().map(|(at, _)| *at).collect();
    let (mut promised, mut others): (Vec<_>, Vec<_>) = cuts.into_iter().partition(|(at, _)| acks.contains(at));
    let cuts = std::iter::from_fn(|| {
        std::mem::swap(&mut promised, &mut others);
        others.pop().or_else(|| promised.pop())
    });
    let mut seen = HashSet::new();
    for (at, fate) in cuts {
        let disk = Disk::after(&recording.events, at, names, fate, chance);
        let promised: BTreeSet<&str> =
            recording.acks.iter().filter(|(when, _)| *when <= at).map(|(_, tag)| tag.as_str()).collect();
        if seen.insert(disk.fingerprint(promised.len())) {
            scratch.judge(&disk, &promised, found, || format!("cut at {at}, {fate:?}, {names:?}"));
        }
        if seen.len() >= IMAGES_MAX {
            break;
        }
    }
}

/// What is found on the disk when the power is back.
#[derive(Default)]
struct Disk {
    files: BTreeMap<Inode, Vec<u8>>,
    names: BTreeMap<String, Inode>,
}

impl Disk {
    fn after(events: &[Event], at: usize, names: Names, fate: Fate, chance: &mut Dice) -> Self {
        let done: Vec<&Event> = events.iter().filter(|event| event.entered <= at && !event.op.is_sync()).collect();
        let syncs: Vec<&Event> = events.iter().filter(|event| event.returned <= at && event.op.is_sync()).collect();
        let safe: Vec<bool> = done.iter().map(|event| syncs.iter().any(|sync| covers(sync, event, names))).collect();
        let loose = safe.iter().filter(|safe| !**safe).count();
        let kept = chance.index(loose + 1);
        let mut disk = Self::default();
        let mut nth = 0;
        for (event, safe) in done.iter().zip(safe) {
            let there = safe
                || match fate {
                    Fate::AllThere => true,
                    Fate::AllGone => false,
                    Fate::OnlyData => event.op.is_data(),
                    Fate::OnlyMetadata => !event.op.is_data(),
                    Fate::Head => nth < kept,
                    Fate::Tail => nth >= kept,
                    Fate::Chance => chance.toss(),
                    Fate::Torn => event.op.is_data() || chance.toss(),
                };
            nth += usize::from(!safe);
            if there {
                let torn = !safe && fate == Fate::Torn;
                disk.apply(&event.op, torn.then_some(&mut *chance));
            }
        }
        disk
    }

    fn apply(&mut self, op: &Op, torn: Option<&mut Dice>) {
        match op {
            Op::Create { name, inode } => drop(self.names.insert(name.clone(), *inode)),
            Op::Remove { name, inode } => {
                if self.names.get(name) == Some(inode) {
                    self.names.remove(name);
                }
            }
            Op::Truncate { inode, len } => self.files.entry(*inode).or_default().resize(*len, 0),
            Op::Write { inode, at, data } => self.write(*inode, *at, data, torn),
            Op::Sync { .. } | Op::SyncDirectory => {}
        }
    }

    fn write(&mut self, inode: Inode, at: usize, data: &[u8], torn: Option<&mut Dice>) {
        let file = self.files.entry(inode).or_default();
        let mut put = |from: usize, to: usize| {
            if file.len() < to {
                file.resize(to, 0);
            }
            file[from..to].copy_from_slice(&data[from - at..to - at]);
        };
        let end = at + data.len();
        let Some(chance) = torn else { return put(at, end) };
        let mut from = at;
        while from < end {
            let to = ((from / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
            if chance.toss() {
                put(from, to);
            }
            from = to;
        }
    }

    fn file(&self, inode: Inode) -> &[u8] {
        self.files.get(&inode).map_or(&[], Vec::as_slice)
    }

    /// What tells disks apart. (The hash of the standard library is slow where it is compiled without optimization.)
    fn fingerprint(&self, promised: usize) -> Vec<(String, usize, u32)> {
        let of = |(name, inode): (&String, &Inode)| {
            let file = self.file(*inode);
            (name.clone(), file.len(), crc32fast::hash(file))
        };
        self.names.iter().map(of).chain([(String::new(), promised, 0)]).collect()
    }
}

fn covers(sync: &Event, event: &Event, names: Names) -> bool {
    sync.entered > event.returned
        && match (&sync.op, &event.op) {
            (Op::SyncDirectory, Op::Create { .. } | Op::Remove { .. }) => true,
            (Op::Sync { .. }, Op::Create { .. } | Op::Remove { .. }) => names == Names::WithAnySync,
            (Op::Sync { inode: synced }, Op::Write { inode, .. } | Op::Truncate { inode, .. }) => synced == inode,
            _ => false,
        }
}

impl Op {
    fn is_sync(&self) -> bool {
        matches!(self, Self::Sync { .. } | Self::SyncDirectory)
    }

    fn is_data(&self) -> bool {
        matches!(self, Self::Write { .. })
    }
}

/// A directory in memory where the disks are made.
struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
        Self { dir: tempfile::Builder::new().prefix("tenure-power-").tempdir_in(parent).unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("z.db{name}"))
    }

    fn judge(&self, disk: &Disk, promised: &BTreeSet<&str>, found: &mut Found, what: impl Fn() -> String) {
        for name in ["", "-wal", "-shm", "-journal"] {
            let _ = fs::remove_file(self.path(name));
        }
        for (name, inode) in &disk.names {
            fs::write(self.path(name), disk.file(*inode)).unwrap();
        }
        found.images += 1;
        let (lost, damaged, gap) = match self.open(promised.is_empty()) {
            Ok((tags, gap)) => (promised.iter().any(|tag| !tags.contains(*tag)), false, gap),
            Err(error) => {
                found.example = format!("{}: {error}", what());
                (!promised.is_empty(), true, false)
            }
        };
        if found.images.is_multiple_of(GO_ON_EVERY) && !damaged {
            self.settle_in();
            add(&open(&self.path(""), Role::Worker), "after the power cut");
        }
        found.lost += usize::from(lost);
        found.damaged += usize::from(damaged);
        found.gaps += usize::from(gap);
        if (lost || gap) && found.example.is_empty() {
            found.example = what();
        }
    }

    /// The image is the file alone, which would pass for a copy: its directory gets to know it.
    fn settle_in(&self) {
        let place = Place::new(self.path(""));
        let _there_is_none = fs::remove_dir_all(place.dir());
        let id = Connection::open(place.db())
            .and_then(|conn| conn.query_row("SELECT value FROM meta WHERE key = 'file_id'", [], |row| row.get::<_, String>(0)));
        if let Ok(id) = id {
            make_beside(&place).unwrap();
            home::settle_in(&place, &id).unwrap();
        }
    }

    /// The tags that are there, and whether one is missing between them.
    fn open(&self, may_be_empty: bool) -> Result<(HashSet<String>, bool), String> {
        let read = || -> rusqlite::Result<(String, HashSet<String>, bool)> {
            let conn = Connection::open(self.path(""))?;
            let objects: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            if objects == 0 && may_be_empty {
                return Ok(("ok".into(), HashSet::new(), false));
            }
            let checked = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
            let mut select = conn.prepare("SELECT label FROM job WHERE label IS NOT NULL")?;
            let tags = select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            let gap = conn.query_row("SELECT coalesce(max(id), 0) <> count(*) FROM job", [], |row| row.get(0))?;
            Ok((checked, tags, gap))
        };
        match read() {
            Ok((checked, tags, gap)) if checked == "ok" => Ok((tags, gap)),
            Ok((checked, ..)) => Err(checked),
            Err(error) => Err(error.to_string()),
        }
    }
}
