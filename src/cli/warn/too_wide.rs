//! A job that takes more slots, or more of a pool, than there are: it waits until that changes.

use crate::cli::view::escape::command_on;
use crate::host::lock::Kind;
use crate::host::sight::Sight;
use crate::job::Placement;
use crate::place::Place;
use crate::store::job::{pool, read};
use crate::store::{Options, Role, Store};

/// Returns the warning, if the job takes more slots than its queue or the worker has, or more of a
/// pool than that has. A file that cannot be read is reported by what adds the job.
pub fn check(place: &Place, placement: &Placement) -> Option<String> {
    of_slots(place, placement).or_else(|| of_pools(place, placement))
}

fn of_slots(place: &Place, placement: &Placement) -> Option<String> {
    let slots = i64::from(placement.slots);
    if slots < 2 {
        return None;
    }
    let is_less = |most: &i64| (1..slots).contains(most);
    if let Some(most) = of_queue(place, &placement.queue).filter(is_less) {
        let name = &placement.queue;
        let remedy = command_on("tenure queue set", name, &format!("--slots {slots}"));
        return Some(format!("it takes {slots} slots and waits, because its queue {name:?} has {most}; {remedy}"));
    }
    let worker = Sight::read(place).ok()?.filter(|worker| worker.holder.kind == Kind::Work.as_str())?;
    let most = i64::try_from(worker.slots()).ok().filter(is_less)?;
    Some(format!("it takes {slots} slots and waits, because the worker has {most}; tenure slots {slots}"))
}

fn of_pools(place: &Place, placement: &Placement) -> Option<String> {
    if placement.uses.is_empty() {
        return None;
    }
    let store = Store::open(place.db(), Options::new(Role::Reader)).ok()?;
    let pools = store.read(pool::all).ok()?;
    let (pool, n) = pools.iter().find_map(|pool| {
        let n = i64::from(*placement.uses.get(&pool.name)?);
        (n > pool.size).then_some((pool, n))
    })?;
    let (name, size) = (&pool.name, pool.size);
    Some(format!("it uses {n} of pool {name:?} and waits, because that has {size}; tenure pool set {name} --limit {n}"))
}

fn of_queue(place: &Place, name: &str) -> Option<i64> {
    let store = Store::open(place.db(), Options::new(Role::Reader)).ok()?;
    store.read(read::queues).ok()?.into_iter().find(|queue| queue.name == name)?.slots
}
