//! Why claims are held back: the health of the store, the state of the machine, and a stopped
//! spawner. Part of each round of the claim loop, which reports it.

use std::time::{Duration, Instant};

use crate::host::condition::Condition;
use crate::host::gates::{Floors, Gate, Machine};
use crate::run::machine;
use crate::worker::context::Context;
use crate::worker::stop_flag::Ended;

/// How long a reading of the machine's state is used.
const MACHINE_GOOD_FOR: Duration = Duration::from_secs(1);

/// Why nothing may be claimed: the health of the store, and the state of the machine, read
/// periodically.
#[derive(Default)]
pub struct HeldBack {
    looked: Option<(Instant, Option<Gate>)>,
}

impl HeldBack {
    pub fn check(&mut self, ctx: &Context) {
        let health = ctx.store.health();
        if let Some(fatal) = health.fatal {
            ctx.end(Ended::Fatal(fatal));
        }
        let report = &ctx.report;
        match health.replaced {
            Some(what) => {
                report.set(Condition::holding("file_replaced", what, "stop the worker, and see which file is the right one"))
            }
            None => report.clear("file_replaced"),
        }
        match health.schema {
            Some(altered) => {
                let text = format!("the schema of the file was changed: {}", altered.text);
                report.set(Condition::holding("schema_changed", text, None).with_remedy(altered.remedy));
            }
            None => report.clear("schema_changed"),
        }
        match health.disk_full_since_ms {
            Some(_) => {
                report.set(Condition::holding(
                    "disk_full",
                    "the disk is full",
                    "tenure prune --older-than 7d, or free some space",
                ));
            }
            None => report.clear("disk_full"),
        }
        watch_spawner(ctx);
        let closed = self.of_machine(ctx);
        for code in Gate::CODES {
            match closed {
                Some(gate) if gate.code() == code => report.set(Condition::holding(code, gate.to_string(), Gate::REMEDY)),
                _ => report.clear(code),
            }
        }
    }

    fn of_machine(&mut self, ctx: &Context) -> Option<Gate> {
        let floors = &ctx.options.floors;
        if *floors == Floors::default() {
            return None;
        }
        if let Some((when, closed)) = self.looked
            && when.elapsed() < MACHINE_GOOD_FOR
        {
            return closed;
        }
        let closed = Gate::closed(floors, &Machine::sample(ctx.place().dir()));
        self.looked = Some((Instant::now(), closed));
        closed
    }
}

/// A stopped spawner starts nothing: claimed jobs wait, and are called running. Their launches
/// begin when it is continued, and they are requeued if it is killed.
fn watch_spawner(ctx: &Context) {
    let pid = ctx.spawner_pid();
    match machine::state_of(pid.cast_unsigned()) {
        // A debugger stops it for an instant ('t') and continues it.
        Some('T') => {
            let text = format!("the spawner (pid {pid}) is stopped by a signal: what is claimed starts when it is continued");
            ctx.report.set(Condition::notice("spawner_stopped", text, None).with_remedy(format!("kill -CONT {pid}")));
        }
        _ => ctx.report.clear("spawner_stopped"),
    }
}
