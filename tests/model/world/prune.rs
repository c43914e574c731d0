//! What is removed when its time is over.

use std::collections::BTreeSet;

use super::{Dep, World};

impl World {
    pub fn prune(&mut self, before: i64) -> BTreeSet<i64> {
        let waited_for: BTreeSet<i64> =
            self.jobs.values().filter(|j| !j.state.is_terminal()).flat_map(|j| j.deps.keys().copied()).collect();
        let busy: BTreeSet<i64> = self.runs.values().filter(|r| r.open || r.closed_at >= Some(before)).map(|r| r.job).collect();
        let gone: BTreeSet<i64> = self
            .jobs
            .iter()
            .filter(|(id, j)| j.finished_at.is_some_and(|at| at < before) && !waited_for.contains(id) && !busy.contains(id))
            .filter(|(id, _)| !self.is_unreleased(**id))
            .map(|(id, _)| *id)
            .collect();
        self.forget_things(before, &gone);
        self.jobs.retain(|id, _| !gone.contains(id));
        self.runs.retain(|_, run| !gone.contains(&run.job));
        for job in self.jobs.values_mut() {
            job.deps.retain(|parent, (_, dep)| !gone.contains(parent) || *dep == Dep::Broken);
        }
        gone
    }
}
