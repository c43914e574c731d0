//! Signals to the worker, turned into orders.
//!
//! | signal | what it means |
//! | --- | --- |
//! | TERM, HUP, QUIT, USR1, USR2, ALRM, or INT without a terminal | stop claiming, detach from the runs (or end them, see `--on-term`), end |
//! | INT at a terminal | stop claiming, wait for the runs; a second one cancels them |
//! | TERM with `--drain` | as INT at a terminal |
//!
//! A signal that was ignored at the start (`nohup`, a shell's `&`) stays ignored.

use crossbeam_channel::Sender;
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::{Handle, Signals};

use crate::error::{Error, Result};
use crate::run::signal;

/// What a signal requests of the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Stop claiming, detach from the runs or end them, end.
    Leave,
    /// Stop claiming, wait for the runs; the second time cancel them.
    Drain,
}

/// Every signal whose default would end the worker.
const HEARD: [i32; 7] = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM];

/// Sends an order for each signal, from a separate thread, until the handle is closed.
///
/// # Errors
/// The handlers cannot be installed.
pub fn listen(drain: bool, at_terminal: bool, orders: Sender<Order>) -> Result<Handle> {
    let mut signals = Signals::new(signal::not_ignored(&HEARD)).map_err(|e| Error::io("installing signal handlers", e))?;
    let handle = signals.handle();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                if orders.send(order(signal, drain, at_terminal)).is_err() {
                    return;
                }
            }
        })
        .map_err(|e| Error::io("starting the signal thread", e))?;
    Ok(handle)
}

fn order(signal: i32, drain: bool, at_terminal: bool) -> Order {
    match signal {
        SIGINT if at_terminal => Order::Drain,
        SIGTERM if drain => Order::Drain,
        _ => Order::Leave,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_person_at_a_terminal_or_drain_waits_for_the_runs() {
        assert_eq!(order(SIGTERM, false, true), Order::Leave);
        assert_eq!(order(SIGTERM, true, false), Order::Drain);
        assert_eq!(order(SIGINT, false, false), Order::Leave);
        assert_eq!(order(SIGINT, false, true), Order::Drain);
        for signal in [SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM] {
            assert_eq!(order(signal, true, true), Order::Leave);
        }
    }
}
