//! Recovery: what to do with a run that no monitor of this worker is watching.
//!
//! Two tables, each a pure function of what was observed, read from the top. Nothing here reads a
//! clock: how long ago something happened proves nothing.

/// What is known of a run whose job is running according to its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// The run was claimed in this boot of the machine.
    pub same_boot: bool,
    pub file: RunFile,
    /// It had not entered its workspace, so it cannot have started, regardless of its run file.
    pub known_unstarted: bool,
}

/// The run file in `runs/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunFile {
    Missing,
    /// It exists, but its header does not name this run (another nonce, another file, unreadable).
    Foreign,
    Own {
        locked: bool,
        progress: Progress,
    },
}

/// How far the records in a run file go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// A header and no record: no process of the job ever existed.
    Nothing,
    /// PREPARE or STARTED: there may have been a process; its end is not recorded.
    Begun,
    /// EXITED: the end is recorded, the tree may not be empty.
    Exited,
    /// FAILED: it could not be executed.
    Failed,
    /// DRAINED: the end is recorded, and the tree was empty.
    Drained,
}

/// What to do with a running row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is alive: watch it.
    Adopt,
    /// It never started: requeue it without using an attempt. First empty its tree, if it may have
    /// one.
    Requeue { empty_tree: bool },
    /// No process saw its end. First empty its tree, if it may have one.
    Lose { empty_tree: bool },
    /// Its end is recorded: continue from the record. First empty its tree, if it may have one.
    Finish { empty_tree: bool },
}

impl Verdict {
    /// Whether its tree is emptied first.
    pub fn empties_tree(self) -> bool {
        matches!(self, Self::Requeue { empty_tree: true } | Self::Lose { empty_tree: true } | Self::Finish { empty_tree: true })
    }
}

/// The first table: a running row without a monitor.
pub fn of_claim(seen: Claimed) -> Verdict {
    use Progress::{Begun, Drained, Exited, Failed, Nothing};
    // Without a record, the missing progress decides.
    let unrecorded = |empty_tree| match seen.known_unstarted {
        true => Verdict::Requeue { empty_tree },
        false => Verdict::Lose { empty_tree },
    };
    match seen.file {
        RunFile::Own { progress: Exited | Failed | Drained, .. } if !seen.same_boot => Verdict::Finish { empty_tree: false },
        RunFile::Own { progress: Begun, .. } if !seen.same_boot => Verdict::Lose { empty_tree: false },
        _ if !seen.same_boot => unrecorded(false),
        RunFile::Own { locked: true, .. } => Verdict::Adopt,
        RunFile::Missing | RunFile::Foreign => unrecorded(true),
        RunFile::Own { progress: Nothing, .. } => Verdict::Requeue { empty_tree: false },
        RunFile::Own { progress: Failed, .. } => Verdict::Finish { empty_tree: false },
        RunFile::Own { progress: Begun, .. } => Verdict::Lose { empty_tree: true },
        RunFile::Own { progress: Exited, .. } => Verdict::Finish { empty_tree: true },
        RunFile::Own { progress: Drained, .. } => Verdict::Finish { empty_tree: false },
    }
}

/// What the file knows of a run that has a run file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// Not settled: the first table applies.
    Open,
    Settled,
    Unknown,
}

/// What to do with a run file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftover {
    /// The first table applies.
    Leave,
    Unlink,
    EmptyTreeThenUnlink,
    /// A run that this file does not know: an older copy was restored. Empty its tree, keep its
    /// log, report it, and continue as after a restore.
    Stray,
}

/// The second table: a file in `runs/`.
pub fn of_run_file(row: Row, locked: bool, progress: Progress) -> Leftover {
    match (row, locked, progress) {
        (Row::Open, _, _) => Leftover::Leave,
        (Row::Settled, false, _) => Leftover::Unlink,
        (Row::Settled, true, _) => Leftover::EmptyTreeThenUnlink,
        (Row::Unknown, false, Progress::Nothing) => Leftover::Unlink,
        (Row::Unknown, _, _) => Leftover::Stray,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRESS: [Progress; 5] = [Progress::Nothing, Progress::Begun, Progress::Exited, Progress::Failed, Progress::Drained];

    fn unknown(same_boot: bool, file: RunFile) -> Verdict {
        of_claim(Claimed { same_boot, file, known_unstarted: false })
    }

    fn own(locked: bool, progress: Progress) -> RunFile {
        RunFile::Own { locked, progress }
    }

    #[test]
    fn a_held_lock_of_this_boot_is_always_adopted() {
        for progress in PROGRESS {
            assert_eq!(unknown(true, own(true, progress)), Verdict::Adopt);
        }
    }

    #[test]
    fn only_a_run_that_never_started_is_requeued() {
        for same_boot in [true, false] {
            let files =
                PROGRESS.into_iter().flat_map(|p| [own(true, p), own(false, p)]).chain([RunFile::Missing, RunFile::Foreign]);
            for file in files {
                let certain = same_boot && file == own(false, Progress::Nothing);
                assert_eq!(unknown(same_boot, file) == Verdict::Requeue { empty_tree: false }, certain, "{file:?}");
            }
        }
    }

    #[test]
    fn a_run_that_did_not_start_is_requeued_unless_it_has_a_record() {
        for same_boot in [true, false] {
            for file in [RunFile::Missing, RunFile::Foreign, own(false, Progress::Nothing)] {
                let verdict = of_claim(Claimed { same_boot, file, known_unstarted: true });
                let has_tree = same_boot && !matches!(file, RunFile::Own { .. });
                assert_eq!(verdict, Verdict::Requeue { empty_tree: has_tree }, "{same_boot} {file:?}");
            }
            for progress in &PROGRESS[1..] {
                let file = own(false, *progress);
                let verdict = of_claim(Claimed { same_boot, file, known_unstarted: true });
                assert_eq!(verdict, unknown(same_boot, file), "{same_boot} {file:?}");
            }
        }
    }

    #[test]
    fn a_record_is_never_thrown_away() {
        for same_boot in [true, false] {
            for progress in [Progress::Exited, Progress::Failed, Progress::Drained] {
                let verdict = unknown(same_boot, own(false, progress));
                assert_eq!(verdict, Verdict::Finish { empty_tree: same_boot && progress == Progress::Exited });
            }
        }
    }

    #[test]
    fn after_a_reboot_no_tree_is_searched() {
        for file in [RunFile::Missing, RunFile::Foreign, own(false, Progress::Begun), own(true, Progress::Nothing)] {
            assert_eq!(unknown(false, file), Verdict::Lose { empty_tree: false });
        }
    }

    #[test]
    fn a_run_file_is_unlinked_only_when_nothing_can_need_it() {
        for progress in PROGRESS {
            for locked in [true, false] {
                assert_eq!(of_run_file(Row::Open, locked, progress), Leftover::Leave);
                let unknown = of_run_file(Row::Unknown, locked, progress);
                assert_eq!(unknown == Leftover::Unlink, !locked && progress == Progress::Nothing);
            }
            assert_eq!(of_run_file(Row::Settled, false, progress), Leftover::Unlink);
            assert_eq!(of_run_file(Row::Settled, true, progress), Leftover::EmptyTreeThenUnlink);
        }
    }
}
