//! What is said of an ended job beside how it ended, as text. Pure.

use crate::job::{Advice, Reason, State};
use crate::store::job::retry::WayBack;
use crate::store::job::rows::Job;
use crate::store::job::why::{DEPENDANTS_MAX, WhyFacts};
use crate::units::size_text;

/// A retry of this job alone leaves them as they are.
pub(super) fn ended_with_it(facts: &WhyFacts) -> Option<Advice> {
    let n = facts.dependants.filter(|_| facts.back == Some(WayBack::Retry))?;
    let jobs = match n.get() {
        1 => "1 job ended".to_owned(),
        DEPENDANTS_MAX.. => format!("{DEPENDANTS_MAX} jobs or more ended"),
        n => format!("{n} jobs ended"),
    };
    let text = format!("{jobs} because of it, and a retry of it alone does not start them");
    Some(Advice::new("ended_with_it", text, format!("tenure retry {} --with-dependants", facts.job.id)))
}

/// The remedy is the text after the last semicolon.
pub(super) fn script(fault: &str) -> Advice {
    let (text, remedy) = fault.rsplit_once("; ").unwrap_or((fault, ""));
    Advice::new("script", format!("of the script that it runs: {text}"), (!remedy.is_empty()).then(|| remedy.to_owned()))
}

/// A program that is refused memory may end in any way, often with a code that does not say why.
pub(super) fn memory_limit(job: &Job) -> Option<Advice> {
    let may_be_why = job.state == State::Failed && matches!(job.reason, Some(Reason::Exit | Reason::Signal));
    let bytes = job.policy().ok()?.memory_bytes.filter(|_| may_be_why)?;
    let text = format!("its memory was limited to {} (--memory), which may be why it failed", size_text(bytes));
    Some(Advice::new("memory_limit", text, None))
}
