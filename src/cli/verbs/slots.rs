//! `tenure slots`: how many jobs the worker runs at once, and the change of that while it runs.

use serde_json::json;

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::values;
use crate::cli::worker_options;
use crate::error::{Result, exit};
use crate::job::worker_limits;
use crate::queue::Queue;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run up to N jobs at once from now on
    ///
    /// It stays until the next change, also for later workers that are not given --slots. default:
    /// as many as the worker was started with.
    #[arg(value_name = "N|default", value_parser = parse)]
    pub slots: Option<Wanted>,
}

/// A number of slots, or that which the worker was started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted(pub Option<usize>);

fn parse(text: &str) -> Result<Wanted, String> {
    if text == "default" {
        return Ok(Wanted(None));
    }
    let wrong = || format!("{:?} is not a number of slots; write 4, or default", values::shorten(text));
    let slots = text.parse::<usize>().map_err(|_| wrong())?;
    worker_limits::check_slots(slots).map(|()| Wanted(Some(slots)))
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    match args.slots {
        None => print(face, &face.queue()?)?,
        Some(Wanted(wanted)) => {
            let queue = Queue::of(&face.client()?);
            queue.set_slots(wanted)?;
            if !queue.slots()?.has_worker {
                face::say(match wanted {
                    Some(_) => "no worker is running; the next one has so many slots, unless it is started with --slots",
                    None => "no worker is running; the next one has as many slots as it is started with",
                });
            }
        }
    }
    Ok(exit::OK)
}

/// Prints the number alone, for a script.
fn print(face: &Face, queue: &Queue) -> Result<()> {
    let found = queue.slots()?;
    // Without a worker: what the next one would have, as far as this environment says.
    let next = worker_options::options(face);
    let slots = found.slots.unwrap_or(next.slots);
    let from = found.from.unwrap_or_else(|| next.slots_from.text().to_owned());
    if face.json {
        return face.document(json!({"slots": slots, "slots_from": from, "worker": found.has_worker}));
    }
    if !found.has_worker {
        face::say("no worker is running; the next one has so many slots, unless it is started with --slots");
    }
    face::print(&format!("{slots}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_slots_or_the_default() {
        assert_eq!(parse("1"), Ok(Wanted(Some(1))));
        assert_eq!(parse("10000"), Ok(Wanted(Some(10_000))));
        assert_eq!(parse("default"), Ok(Wanted(None)));
        for wrong in ["", "0", "-1", "x", "1.5", "10001", "99999999999999999999", "none"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
