//! How many jobs the worker of a file runs at once, and the change of that number.

use super::Queue;
use crate::error::{Error, Result};
use crate::host::lock::Kind;
use crate::host::sight::Sight;
use crate::store::job::slots;
use crate::worker::slots_under;

/// The slots of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg(feature = "cli")]
pub(crate) struct Slots {
    /// How many there are. `None`: there is no worker, and a person has set no number.
    pub slots: Option<usize>,
    /// Where that number comes from, if the worker reports it.
    pub from: Option<String>,
    /// Whether a worker serves the file that runs jobs of others than its own.
    pub has_worker: bool,
}

/// The source of a number that a person has set.
#[cfg(feature = "cli")]
const BY_A_PERSON: &str = "tenure slots";

impl Queue {
    /// Sets how many jobs the worker runs at once, 1 to 10,000, in this program or another one.
    /// `None`: as many as it was started with. With fewer slots than running jobs none of these
    /// ends, and none is started until there is room.
    ///
    /// The number is kept in the file. Later workers have it too, unless they are started with a
    /// number of their own ([`WorkerBuilder::slots`](crate::WorkerBuilder::slots), `tenure work
    /// --slots`).
    ///
    /// # Errors
    /// [`Error::Invalid`] for a number out of range; [`Error::Refused`] if the running worker
    /// cannot serve so many, or is of a version that does not follow.
    pub fn set_slots(&self, slots: Option<usize>) -> Result<()> {
        if let Some(worker) = self.worker_of_others()? {
            can_follow(&worker, slots)?;
        }
        self.store.write(move |conn| slots::set(conn, slots))?;
        self.wake();
        Ok(())
    }

    /// Returns the slots of the worker, or those that the next one has.
    ///
    /// # Errors
    /// The file or its lock cannot be read.
    #[cfg(feature = "cli")]
    pub(crate) fn slots(&self) -> Result<Slots> {
        let worker = self.worker_of_others()?;
        let has_worker = worker.is_some();
        if let Some(worker) = worker.filter(|worker| worker.slots() > 0) {
            return Ok(Slots { slots: Some(worker.slots()), from: worker.slots_from().map(str::to_owned), has_worker });
        }
        let slots = self.store.read(slots::wanted)?;
        Ok(Slots { slots, from: slots.map(|_| BY_A_PERSON.to_owned()), has_worker })
    }

    /// Returns the worker, unless it is a `run`, which has a slot for its own job alone.
    fn worker_of_others(&self) -> Result<Option<Sight>> {
        Ok(Sight::read(self.store.place())?.filter(|worker| worker.holder.kind != Kind::Run.as_str()))
    }
}

fn can_follow(worker: &Sight, slots: Option<usize>) -> Result<()> {
    let Some(report) = &worker.report else { return Ok(()) };
    if report.slots_from.is_empty() {
        let version = &worker.holder.version;
        return Err(Error::Refused(format!(
            "the worker ({}) is of version {version}, which does not change its slots; restart it",
            worker.holder.named()
        )));
    }
    let most = slots_under(report.open_files_max);
    match slots {
        Some(slots) if slots as u64 > most => Err(Error::Refused(format!(
            "the worker may open {} files, and {slots} slots need more; use at most {most}, or raise its limit (ulimit -Hn, LimitNOFILE=) \
             and restart it",
            report.open_files_max
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::fixture::sight;

    #[test]
    fn a_worker_that_cannot_follow_refuses_with_the_remedy() {
        let worker = sight(4);
        for slots in [None, Some(1), Some(246)] {
            can_follow(&worker, slots).unwrap();
        }
        let told = can_follow(&worker, Some(247)).unwrap_err().to_string();
        assert!(told.contains("use at most 246"), "{told}");
        let mut older = worker;
        older.report.as_mut().unwrap().slots_from.clear();
        let told = can_follow(&older, Some(1)).unwrap_err().to_string();
        assert!(told.contains("restart it"), "{told}");
        older.report = None;
        can_follow(&older, Some(9_999)).unwrap();
    }
}
