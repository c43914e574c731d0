//! A file whose guards are dropped, as by a program that knows nothing of them.

use rusqlite::{Connection, TransactionBehavior};

use crate::support::Nest;

/// Writes to the file with its guards dropped and the checks off, and puts the guards back, all in one transaction.
pub fn without_guards(nest: &Nest, act: impl FnOnce(&Connection)) {
    let mut conn = nest.owner();
    let hostile = conn.transaction_with_behavior(TransactionBehavior::Immediate).expect("the write lock");
    crate::model::hostile::without_guards(&hostile, || act(&hostile));
    hostile.commit().expect("committed");
}
