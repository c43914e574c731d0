//! What is said of a hook that has not told the end of its job.

use jiff::Zoned;

use crate::clock as time;
use crate::job::Advice;
use crate::job::hook::HookOutcome;
use crate::store::hook::Hook;
use crate::units::count;

/// Describes a hook that has not exited with 0.
pub(crate) fn untold(hook: &Hook, now: &Zoned) -> Advice {
    let rule = hook.rule.as_ref().map(|rule| format!(" of rule {rule:?} in the configuration")).unwrap_or_default();
    let what = format!("its hook {}{rule}", hook.event);
    let error = hook.last_error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
    let failed = || format!("has failed {}{error}", count(i64::from(hook.attempts), "time", "", ""));
    let text = match (hook.outcome, hook.auxiliary, hook.attempts) {
        (Some(HookOutcome::GivenUp), ..) => format!("{what} was given up; it {}", failed()),
        (_, Some(_), _) => format!("{what} is running"),
        (_, None, 0) => format!("{what} is to run"),
        (_, None, _) => format!("{what} {}; it runs again at {}", failed(), time::local(hook.next_at, now)),
    };
    Advice::new("hook", text, hook.auxiliary.map(|run| format!("tenure logs {} --run {run}", hook.job)))
}
