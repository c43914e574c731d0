//! The life of a job in SQL. Each change of state is one statement that names the expected state
//! and run.
//!
//! `enqueue` (`parts`) → `claim` → (`check`) → `settle`; `ended` handles the consequences of an end
//! (dependants, tasks). `control`, `retry` and `slots` serve requests of a person; `read`,
//! `listing`, `stream`, `newest`, `why` and `pending` answer questions. `auxiliary` records the
//! commands around a job, `ids` assigns run ids, `owned` counts the jobs of each user, `rows` reads
//! rows as values, with the values of `cells`.

pub mod auxiliary;
pub(in crate::store) mod cancel;
pub(in crate::store) mod cells;
pub mod check;
pub mod claim;
#[cfg(test)]
pub(in crate::store) mod claim_order_tests;
pub mod close_run;
pub mod control;
pub mod counted;
pub mod describe;
pub(in crate::store) mod ended;
pub mod enqueue;
pub mod failures;
#[cfg(test)]
pub(in crate::store) mod flat_tests;
#[cfg(test)]
pub(in crate::store) mod growth_tests;
pub mod ids;
pub(in crate::store) mod insert;
pub mod launched;
pub mod listing;
pub mod measure;
pub mod nested;
pub mod newest;
pub mod owned;
pub mod page;
pub mod parts;
pub mod pending;
pub mod pool;
pub mod read;
pub mod recent;
pub mod reorder;
pub mod retry;
pub mod rows;
pub mod settle;
pub mod slots;
pub mod stream;
pub mod suspend;
pub(in crate::store) mod suspension;
#[cfg(test)]
pub(in crate::store) mod verbs_tests;
pub mod why;
#[cfg(test)]
pub(in crate::store) mod why_tests;
