//! What is said of a running job that another engine runs. Pure.

use crate::clock;
use crate::escape;
use crate::job::{Advice, JobId};
use crate::store::job::launched::Launched;

/// Says which launcher has given it away, what the engine calls it, and what that says of it.
pub(super) fn of(id: JobId, launched: &Launched, now: &jiff::Zoned) -> Advice {
    let launcher = escape::line(&launched.launcher);
    if !launched.is_sent {
        let text = format!("the launcher {launcher} is giving it to its engine");
        return Advice::new("engine", text, format!("tenure logs -f {id}"));
    }
    let remote = launched.remote.as_deref().map(|remote| format!(" as {}", escape::line(remote))).unwrap_or_default();
    let says = match (&launched.says, launched.said_at) {
        (Some(says), Some(at)) => format!(", which says since {}: {}", clock::local(at, now), escape::line(says)),
        _ => ", which was not asked for it yet".into(),
    };
    let detail = launched.detail.as_deref().map(|detail| format!(" ({})", escape::line(detail))).unwrap_or_default();
    Advice::new("engine", format!("the launcher {launcher} has given it to its engine{remote}{says}{detail}"), None)
}
