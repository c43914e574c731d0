//! Single flight: several threads of this worker that need the same workspace share one preparation
//! of it. One leads, the others wait for its end.
//!
//! So many jobs of a key prepare it once and, if that fails, fail once. The lease of the workspace,
//! in the file, excludes other processes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::run_waker::RunWaker;

use crate::sync::lock;

/// How a preparation ended, for the threads that waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FlightEnd {
    /// It had no result for the others: another thread leads.
    Abandoned,
    /// It failed with this prepare command; the error says why.
    Failed { prepare_command: Option<String>, error: String },
}

/// One preparation of a workspace.
#[derive(Debug, Default)]
pub(super) struct Flight {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    ended: Option<FlightEnd>,
    waiting: Vec<Arc<RunWaker>>,
}

impl Flight {
    /// Returns how it ended, once it has.
    pub fn ended(&self) -> Option<FlightEnd> {
        lock(&self.inner).ended.clone()
    }

    fn end(&self, how: FlightEnd) {
        let mut inner = lock(&self.inner);
        inner.ended.get_or_insert(how);
        inner.waiting.drain(..).for_each(|waker| waker.wake());
    }
}

/// All preparations in progress.
#[derive(Debug, Default)]
pub(super) struct SingleFlight {
    by_key: Mutex<HashMap<String, Arc<Flight>>>,
}

/// The role of a thread in a preparation.
pub(super) enum Role<'a> {
    Leads(Leader<'a>),
    /// Its waker is woken when it has ended.
    Waits(Arc<Flight>),
}

/// The right to prepare it; dropping it gives it up.
pub(super) struct Leader<'a> {
    flights: &'a SingleFlight,
    key: String,
    flight: Arc<Flight>,
}

impl SingleFlight {
    /// Joins the preparation of this key, or leads a new one.
    pub fn join(&self, key: &str, waker: &Arc<RunWaker>) -> Role<'_> {
        let mut by_key = lock(&self.by_key);
        if let Some(flight) = by_key.get(key) {
            lock(&flight.inner).waiting.push(Arc::clone(waker));
            return Role::Waits(Arc::clone(flight));
        }
        let flight = Arc::new(Flight::default());
        by_key.insert(key.to_owned(), Arc::clone(&flight));
        Role::Leads(Leader { flights: self, key: key.to_owned(), flight })
    }
}

impl Leader<'_> {
    /// Reports to the waiting threads that it has failed, and why.
    pub fn fail(self, prepare_command: Option<String>, error: String) {
        self.flight.end(FlightEnd::Failed { prepare_command, error });
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        lock(&self.flights.by_key).remove(&self.key);
        self.flight.end(FlightEnd::Abandoned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_leads_and_the_others_hear_how_it_ended() {
        let (single_flight, waker) = (SingleFlight::default(), Arc::new(RunWaker::new().unwrap()));
        let Role::Leads(lead) = single_flight.join("k", &waker) else { panic!("no thread led") };
        let Role::Waits(flight) = single_flight.join("k", &waker) else { panic!("two led") };
        let Role::Leads(other) = single_flight.join("l", &waker) else { panic!("another key is another flight") };
        assert_eq!(flight.ended(), None);
        lead.fail(None, "no room".into());
        assert_eq!(flight.ended(), Some(FlightEnd::Failed { prepare_command: None, error: "no room".into() }));
        let Role::Leads(lead) = single_flight.join("k", &waker) else { panic!("it has ended") };
        let Role::Waits(flight) = single_flight.join("k", &waker) else { panic!("two led") };
        drop((lead, other));
        assert_eq!(flight.ended(), Some(FlightEnd::Abandoned));
    }
}
