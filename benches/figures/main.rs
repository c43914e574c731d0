//! The figures of the README: `cargo bench`, or `cargo bench -- NAME...` for some of them; `bulk=N` for bulk with N rows.
//!
//! Each is a ratio against a reference that is measured in the same minute on the same machine, interleaved, because the machine
//! may be shared. Medians of several rounds.

mod bulk;
mod claim;
mod idle;
mod latency;
mod launches;
mod memory;
mod nest;
mod numbers;
mod processes;
mod runs;
mod shims;
mod throughput;

/// Each ratio is the median of so many.
const ROUNDS: usize = 5;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let all: [(&str, fn()); 9] = [
        ("throughput", throughput::throughput),
        ("bulk", bulk::bulk),
        ("claim", claim::claim),
        ("latency", latency::latency),
        ("sql", latency::sql_latency),
        ("idle", idle::idle),
        ("memory", memory::memory),
        ("launches", launches::launches),
        ("shims", shims::shims),
    ];
    for (name, run) in all {
        if wanted.is_empty() || wanted.iter().any(|w| w.split('=').next() == Some(name)) {
            run();
        }
    }
}
