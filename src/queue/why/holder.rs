//! The running jobs that have what another one waits for, as text. Pure.

use crate::store::job::suspend::Holder;

/// Names a job.
pub(super) fn text(holder: Holder) -> String {
    let state = if holder.is_suspended { " (suspended)" } else { "" };
    format!("job {}{state}", holder.job)
}

/// Returns the command that comes first: to let one of them continue, or to wait for one.
pub(super) fn remedy(mut holders: impl Iterator<Item = Holder> + Clone) -> Option<String> {
    if let Some(suspended) = holders.clone().find(|holder| holder.is_suspended) {
        return Some(format!("tenure resume {}", suspended.job));
    }
    holders.next().map(|first| format!("tenure wait {}", first.job))
}
