//! The output of runs of other engines that a client follows: it is fetched as it comes. That of
//! the others is fetched when they have ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::host::followed;
use crate::worker::attempt::{Halt, Verb, program};
use crate::worker::context::Context;
use crate::worker::engines::{Group, Remote};
use crate::worker::steps::fetch;

/// How often the output of a followed run is fetched, and how often it is looked whether one is
/// followed.
const FOLLOWED: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_secs(5);

/// Fetches what is new of the followed runs. Returns when to look again; `None`: no launcher
/// fetches output.
pub(super) fn round(ctx: &Arc<Context>, groups: &BTreeMap<Group, Vec<Remote>>) -> Result<Option<Instant>, Halt> {
    let mut fetched = groups.iter().filter(|(group, _)| program(&group.launcher, Verb::Logs).is_some()).peekable();
    if fetched.peek().is_none() {
        return Ok(None);
    }
    let followed = followed::at(ctx.place(), ctx.now_ms());
    for (group, remote) in fetched.flat_map(|(group, runs)| runs.iter().map(move |remote| (group, remote))) {
        // One that waits has no output, and that of one that has ended is fetched by the thread
        // that settles it.
        if followed.contains(&remote.key.run)
            && remote.ran_at.is_some()
            && ctx.engines.has(remote.key.run)
            && let Err(why) = fetch::more(ctx, group, remote.key, remote.log_at)?
        {
            log::warn!("run {}: {why}", remote.key.run);
        }
    }
    Ok(Some(Instant::now() + if followed.is_empty() { LOOK } else { FOLLOWED }))
}
