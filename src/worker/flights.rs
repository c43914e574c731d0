//! Who makes which workspace in this worker: one leads, each other thread that wants the same one waits for its end.
//!
//! For the threads of one worker only, so that many jobs of a key make it once and, where that fails, fail once. That no other process makes it
//! at the same time is kept by the lease of the workspace, in the file.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::roster::Bell;

/// How a flight landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Landed {
    /// Nothing came of it that others could use: let another one lead.
    Gone,
    /// By this recipe it could not be made, in words.
    Failed { recipe: Option<String>, error: String },
}

/// One making of a workspace.
#[derive(Debug, Default)]
pub(super) struct Flight {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    landed: Option<Landed>,
    waiting: Vec<Arc<Bell>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves maps and lists whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Flight {
    /// How it landed, once it has.
    pub fn landed(&self) -> Option<Landed> {
        lock(&self.inner).landed.clone()
    }

    fn land(&self, how: Landed) {
        let mut inner = lock(&self.inner);
        inner.landed.get_or_insert(how);
        inner.waiting.drain(..).for_each(|bell| bell.nudge());
    }
}

/// All that are under way.
#[derive(Debug, Default)]
pub(super) struct Flights {
    by_key: Mutex<HashMap<String, Arc<Flight>>>,
}

/// Which part one has.
pub(super) enum Part<'a> {
    Leads(Lead<'a>),
    /// Its bell is nudged when it has landed.
    Waits(Arc<Flight>),
}

/// The right to make it; given up when it is dropped.
pub(super) struct Lead<'a> {
    flights: &'a Flights,
    key: String,
    flight: Arc<Flight>,
}

impl Flights {
    /// Joins the thread that makes the workspace of this key, or leads.
    pub fn join(&self, key: &str, bell: &Arc<Bell>) -> Part<'_> {
        let mut by_key = lock(&self.by_key);
        if let Some(flight) = by_key.get(key) {
            lock(&flight.inner).waiting.push(Arc::clone(bell));
            return Part::Waits(Arc::clone(flight));
        }
        let flight = Arc::new(Flight::default());
        by_key.insert(key.to_owned(), Arc::clone(&flight));
        Part::Leads(Lead { flights: self, key: key.to_owned(), flight })
    }
}

impl Lead<'_> {
    /// Tells those who wait that it has failed, and why.
    pub fn fail(self, recipe: Option<String>, error: String) {
        self.flight.land(Landed::Failed { recipe, error });
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        lock(&self.flights.by_key).remove(&self.key);
        self.flight.land(Landed::Gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_leads_and_the_others_hear_how_it_landed() {
        let (flights, bell) = (Flights::default(), Arc::new(Bell::new().unwrap()));
        let Part::Leads(lead) = flights.join("k", &bell) else { panic!("no thread led") };
        let Part::Waits(flight) = flights.join("k", &bell) else { panic!("two led") };
        let Part::Leads(other) = flights.join("l", &bell) else { panic!("another key is another flight") };
        assert_eq!(flight.landed(), None);
        lead.fail(None, "no room".into());
        assert_eq!(flight.landed(), Some(Landed::Failed { recipe: None, error: "no room".into() }));
        let Part::Leads(lead) = flights.join("k", &bell) else { panic!("it has landed") };
        let Part::Waits(flight) = flights.join("k", &bell) else { panic!("two led") };
        drop((lead, other));
        assert_eq!(flight.landed(), Some(Landed::Gone));
    }
}
