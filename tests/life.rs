//! The whole program, from outside: real workers, real jobs, real kills. A file is a promise.

#[path = "support/frozen.rs"]
mod frozen;
#[path = "support/strace.rs"]
mod strace;
mod support;

#[path = "life/adoption.rs"]
mod adoption;
#[path = "life/afar.rs"]
mod afar;
#[path = "life/asked.rs"]
mod asked;
#[path = "life/blocked.rs"]
mod blocked;
#[path = "life/chaos.rs"]
mod chaos;
#[path = "life/clock.rs"]
mod clock;
#[path = "life/containers.rs"]
mod containers;
#[path = "life/copies.rs"]
mod copies;
#[path = "life/crash.rs"]
mod crash;
#[path = "life/embedded.rs"]
mod embedded;
#[path = "life/files.rs"]
mod files;
#[path = "life/filters.rs"]
mod filters;
#[path = "life/flushed.rs"]
mod flushed;
#[path = "life/guards.rs"]
mod guards;
#[path = "life/hostile_sql.rs"]
mod hostile_sql;
#[path = "life/impossible.rs"]
mod impossible;
#[path = "life/lanes.rs"]
mod lanes;
#[path = "life/leases.rs"]
mod leases;
#[path = "life/left.rs"]
mod left;
#[path = "life/leftovers.rs"]
mod leftovers;
#[path = "life/means.rs"]
mod means;
#[path = "life/memory.rs"]
mod memory;
#[path = "life/mounts.rs"]
mod mounts;
#[path = "life/once.rs"]
mod once;
#[path = "life/places.rs"]
mod places;
#[path = "life/recovery.rs"]
mod recovery;
#[path = "life/schedules.rs"]
mod schedules;
#[path = "life/service_manager.rs"]
mod service_manager;
#[path = "life/shutdown.rs"]
mod shutdown;
#[path = "life/siblings.rs"]
mod siblings;
#[path = "life/sins.rs"]
mod sins;
#[path = "life/stops.rs"]
mod stops;
#[path = "life/storm.rs"]
mod storm;
#[path = "life/supervision.rs"]
mod supervision;
#[path = "life/tasks.rs"]
mod tasks;
#[path = "support/untested.rs"]
mod untested;
#[path = "life/upgrade.rs"]
mod upgrade;
#[path = "life/workspace_crashes.rs"]
mod workspace_crashes;
#[path = "life/workspaces.rs"]
mod workspaces;
#[path = "life/zoo.rs"]
mod zoo;
