//! Arbitrary values in every column that a client without our functions may write, while a worker works: the jobs of others continue, each face
//! answers, and the file stays whole.

mod siege;
mod values;

use std::time::{Duration, Instant};

use crate::support::{Dice, seed};

use siege::Siege;
use values::VALUES;

#[test]
fn each_column_takes_each_value_and_others_go_on() {
    let mut siege = Siege::new();
    for place in 0..siege.places.len() {
        let id = siege.held_job();
        // Each value with CHECK constraints and without, in one column or the next; in each column where SOAK_SECONDS is set.
        for checks_off in [false, true] {
            for n in 0..VALUES.len() {
                if std::env::var_os("SOAK_SECONDS").is_some() || checks_off == ((place + n) % 2 == 0) {
                    siege.write(place, n, id, checks_off);
                }
            }
        }
        let sql = siege.places[place].1.clone();
        siege.others_go_on(&sql);
        if place % 30 == 29 {
            siege.faces_answer(&siege.newest(2), &sql);
        }
    }
    siege.faces_answer(&siege.newest(10), "everything");
    siege.is_whole();
    println!(
        "{} statements, {} values: {} accepted, {} refused; others waited {:?} at most",
        siege.places.len(),
        VALUES.len(),
        siege.accepted,
        siege.refused,
        siege.worst
    );
}

/// Random statements for so long.
fn besiege(for_how_long: Duration) {
    let mut siege = Siege::new();
    let mut dice = Dice::new(seed());
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < for_how_long {
        let id = siege.held_job();
        let mut last = 0;
        for _ in 0..1 + dice.index(8) {
            last = dice.index(siege.places.len());
            siege.write(last, dice.index(VALUES.len()), id, dice.index(2) == 0);
        }
        let last = siege.places[last].1.clone();
        if dice.index(4) == 0 {
            siege.accepted("UPDATE job SET user_hold = 0 WHERE state = 'queued' AND user_hold <> 0", "something");
        }
        siege.others_go_on(&last);
        if dice.index(100) == 0 {
            siege.faces_answer(&[id], &last);
        }
        rounds += 1;
    }
    siege.faces_answer(&siege.newest(5), "everything");
    siege.is_whole();
    println!("{rounds} rounds, {} accepted, {} refused; others waited {:?} at most", siege.accepted, siege.refused, siege.worst);
}

#[test]
fn random_sql_stops_neither_the_jobs_of_others_nor_a_face() {
    besiege(Duration::from_secs(3));
}

#[test]
#[ignore = "a soak: cargo test --release --test all life:: -- --ignored"]
fn random_sql_for_a_minute() {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    besiege(Duration::from_secs(seconds));
}
