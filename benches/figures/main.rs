//! The figures of tenure: `cargo bench` measures all of them and prints one table; `cargo bench --
//! NAME...` some of them; `--list` names them.
//!
//! Each row has its reference, which is measured in the same run on the same machine, in turn with
//! the figure, because the machine may be shared: trust the ratios. A ratio is the median of
//! several rounds, with the least and the greatest.
//!
//! `--save` writes `docs/performance.md` with its plots and the table of the README, `--save=DIR`
//! all of that below DIR; `--full` measures the sizes that the bars are about, `--quick` sizes that
//! only show that a figure works.
//!
//! [`cage`] runs all of it in a process of its own and leaves no process and no file behind.

mod adders;
mod adds;
mod bulk;
mod cage;
mod claim;
mod depth;
mod drain;
mod fill;
mod idle;
mod latency;
mod launches;
mod log;
mod memory;
mod nest;
mod numbers;
mod page;
mod pages;
mod peers;
mod plan;
mod plot;
mod processes;
mod prune;
mod readers;
mod row;
mod runs;
mod shares;
mod shims;
mod slots;
mod stamp;
mod table;
mod timeline;
mod trace;

use std::process::ExitCode;
use std::time::Instant;

use plan::Plan;
use row::Found;

/// A figure, what it is about, and how it is measured.
type Figure = (&'static str, &'static str, fn(&Plan) -> Found);

const FIGURES: [Figure; 19] = [
    ("drain", "no-op jobs at 2 slots: rate and CPU", drain::drain),
    ("shares", "where the CPU of a no-op job goes", shares::shares),
    ("peers", "the same through other job runners", peers::drain),
    ("add", "one process for each job", adds::adds),
    ("adders", "8 clients that add at once", adders::adders),
    ("latency", "from an idle add to the first instruction of the job", latency::latency),
    ("sql", "the same from a plain sqlite3 insert", latency::sql),
    ("timeline", "what lies between an add and its job", timeline::timeline),
    ("bulk", "many rows by one command", bulk::bulk),
    ("depth", "no-op jobs from a long queue", depth::depth),
    ("prune", "claims while old jobs are removed", prune::prune),
    ("log", "the size of the log under full load", log::log),
    ("memory", "300 sleeping jobs", memory::memory),
    ("idle", "a worker that has nothing to do", idle::idle),
    ("readers", "status, ls, show and why in a large file", readers::readers),
    ("pages", "the pages of the web in a large file", pages::pages),
    // After those that use the same file: it leaves claims without a worker.
    ("claim", "a claim in a large file", claim::claims),
    ("slots", "jobs a second against slots", slots::slots),
    ("launches", "what a launch and an idle run cost, without a file", launches::launches),
];

fn main() -> ExitCode {
    if let Some(code) = stamp::called() {
        return code;
    }
    let plan = match Plan::parse(std::env::args().skip(1), &FIGURES.map(|(name, _, _)| name)) {
        Ok(plan) => plan,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::from(2);
        }
    };
    if plan.list {
        FIGURES.iter().for_each(|(name, what, _)| println!("{name:10} {what}"));
        return ExitCode::SUCCESS;
    }
    cage::inside(|| measure(&plan))
}

fn measure(plan: &Plan) -> ExitCode {
    let begun = Instant::now();
    let wanted: Vec<Figure> = FIGURES.into_iter().filter(|(name, _, _)| plan.wants(name)).collect();
    let (mut found, mut failed) = (Found::default(), vec![]);
    for (n, (name, what, run)) in wanted.iter().enumerate() {
        eprintln!("[{}/{}] {name}: {what} ({:.0} s so far)", n + 1, wanted.len(), begun.elapsed().as_secs_f64());
        // A figure that fails takes none of the others with it.
        let figure = std::panic::catch_unwind(|| {
            let mut found = run(plan);
            found.rows.iter_mut().for_each(|row| row.name = name);
            cage::expect_no_children(name);
            found
        });
        found.add(figure.unwrap_or_else(|_| {
            failed.push(*name);
            Found::note(format!("{name} has failed"))
        }));
        cage::end_children();
    }
    print!("{}", table::text(&found.rows));
    found.notes.iter().for_each(|note| println!("{note}"));
    if let Some(timeline) = &found.timeline {
        print!("\n{}", timeline.text());
    }
    if let Some(root) = &plan.save {
        page::save(root, &found, plan);
    }
    eprintln!("{:.0} s", begun.elapsed().as_secs_f64());
    ExitCode::from(u8::from(!failed.is_empty()))
}
