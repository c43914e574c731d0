//! Suspended jobs that keep what another one waits for, as text. Pure.

use crate::job::Advice;
use crate::store::job::why::{Keeper, WhyFacts};

/// Names the suspended jobs that keep slots, in the findings that say that slots are lacking: the
/// queue's, or the worker's. To resume one of them is then the remedy.
pub(super) fn name_in(all: &mut [Advice], facts: &WhyFacts) {
    for one in all {
        let keeps = |keeper: &&Keeper| match &*one.code {
            "queue_full" => keeper.is_of_queue,
            "slots" => true,
            _ => false,
        };
        let keepers: Vec<&Keeper> = facts.suspended.iter().filter(keeps).collect();
        let Some(first) = keepers.first() else { continue };
        let named: Vec<String> = keepers.iter().map(|keeper| keeper.job.to_string()).collect();
        let (jobs, keep) = if named.len() == 1 {
            ("job", "is suspended and keeps its slots")
        } else {
            ("jobs", "are suspended and keep their slots")
        };
        one.text = format!("{}; {jobs} {} {keep}", one.text, named.join(", "));
        one.remedy = Some(format!("tenure resume {}", first.job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{JobId, State};
    use crate::queue::fixture;

    #[test]
    fn who_keeps_slots_and_is_suspended_is_named_and_can_be_resumed() {
        let keeper = |job, is_of_queue| Keeper { job: JobId(job), is_of_queue };
        let facts =
            WhyFacts { suspended: vec![keeper(5, true), keeper(6, false)], ..fixture::why_facts(fixture::job(7, State::Queued)) };
        let told = |code: &'static str| {
            let mut all = [Advice::new(code, "all are taken", "tenure ls".to_owned())];
            name_in(&mut all, &facts);
            let [one] = all;
            (one.text.to_string(), one.remedy.map(|remedy| remedy.to_string()).unwrap_or_default())
        };
        let resume = || "tenure resume 5".to_owned();
        assert_eq!(told("queue_full"), ("all are taken; job 5 is suspended and keeps its slots".to_owned(), resume()));
        assert_eq!(told("slots"), ("all are taken; jobs 5, 6 are suspended and keep their slots".to_owned(), resume()));
        assert_eq!(told("user"), ("all are taken".to_owned(), "tenure ls".to_owned()));
    }
}
