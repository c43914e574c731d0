//! `tenure set`: change a queued job.

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::pick;
use crate::cli::parse::select::Selector;
use crate::cli::parse::{time, values};
use crate::error::{Error, Result, exit};
use crate::host::secrets;
use crate::host::waker;
use crate::job::{JobId, check, nearest};
use crate::queue::Queue;
use crate::store::job::control::{self, Change, Changed};
use crate::units;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Jobs: 7, 3-9, 1,4,8, last, '12[3]' or @label
    #[arg(value_name = "ID")]
    pub ids: Selector,
    /// What to change, such as priority=5 or delay=10m
    ///
    /// priority=N, queue=NAME, delay=10m (or 0s for at once), at=TIME, expires=TIME (or a duration,
    /// or none), timeout=1h (or none), retries=N, label=TEXT (or empty for none).
    #[arg(value_name = "KEY=VALUE", required = true)]
    pub changes: Vec<String>,
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let change = parse_changes(&args.changes, &face.now()).map_err(Error::Invalid)?;
    let queue = Queue::of(&face.editor()?);
    let store = &queue.store;
    let ids: Vec<_> = pick::jobs(&queue, std::slice::from_ref(&args.ids))?.into_iter().map(|job| job.id).collect();
    let now_ms = face.now_ms();
    // All of them or none.
    let set = move |conn: &_| ids.iter().map(|id| Ok((*id, control::set(conn, *id, &change, now_ms)?))).collect();
    let changed: Vec<(JobId, Changed)> = store.write(set)?;
    waker::send(store.place());
    let ended: Vec<JobId> = changed.iter().filter(|(_, change)| change.ended).map(|(id, _)| *id).collect();
    changed.iter().for_each(|(_, change)| secrets::remove(store.place(), &change.freed));
    if face.json {
        face.document(serde_json::json!({"changed": true, "ended": ended}))?;
    } else {
        face::say("changed");
        ended.iter().for_each(|id| face::say(&format!("job {id} has no attempt left, and has ended; tenure why {id} says how")));
    }
    Ok(exit::OK)
}

fn parse_changes(changes: &[String], now: &jiff::Zoned) -> Result<Change, String> {
    let mut change = Change::default();
    for text in changes {
        let Some((key, value)) = text.split_once('=') else {
            return Err(format!("{:?} lacks a value; write it as priority=5", values::shorten(text)));
        };
        apply(&mut change, key, value, now).map_err(|e| format!("{}: {e}", values::shorten(key)))?;
    }
    Ok(change)
}

fn apply(change: &mut Change, key: &str, value: &str, now: &jiff::Zoned) -> Result<(), String> {
    let number = |what: &str| format!("{:?} is not a {what}; write {key}=5", values::shorten(value));
    match key {
        "priority" => change.priority = Some(value.parse().map_err(|_| number("number"))?),
        "queue" => change.queue = Some(values::parse_name(value)?),
        "label" if value.is_empty() => change.label = Some(None),
        "label" => change.label = Some(Some(values::parse_label(value)?)),
        "delay" => change.available_at = Some(due(units::parse_duration(value)?, now)),
        "at" => change.available_at = Some(time::parse_instant(value, now)?),
        "expires" if value == "none" => change.expires_at = Some(None),
        "expires" => {
            let at = time::parse_deadline(value, now)?;
            if at <= now.timestamp().as_millisecond() {
                return Err(format!("{:?} is in the past; give a time in the future, or none", values::shorten(value)));
            }
            change.expires_at = Some(Some(at));
        }
        "timeout" if value == "none" => change.timeout_ms = Some(None),
        "timeout" => change.timeout_ms = Some(Some(units::parse_duration(value)?).filter(|ms| *ms > 0)),
        "retries" => {
            let retries: u32 = value.parse().map_err(|_| number("number of retries"))?;
            change.max_attempts = Some(check::attempts_of(retries)?);
        }
        other => {
            const KEYS: [&str; 8] = ["priority", "queue", "delay", "at", "expires", "timeout", "retries", "label"];
            return Err(format!("it cannot be set; what can: {}{}", KEYS.join(", "), nearest::question(other, KEYS)));
        }
    }
    Ok(())
}

fn due(delay_ms: u64, now: &jiff::Zoned) -> i64 {
    if delay_ms == 0 { 0 } else { now.timestamp().as_millisecond().saturating_add_unsigned(delay_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(changes: &[&str]) -> Result<Change, String> {
        parse_changes(&changes.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>(), &time::here(1_000))
    }

    #[test]
    fn each_key_changes_its_own() {
        let change = parse(&["priority=-5", "queue=q", "label=a=b", "delay=10s", "timeout=1h", "retries=2"]).unwrap();
        assert_eq!((change.priority, change.queue.as_deref(), change.available_at), (Some(-5), Some("q"), Some(11_000)));
        assert_eq!(
            (change.label, change.timeout_ms, change.max_attempts),
            (Some(Some("a=b".into())), Some(Some(3_600_000)), Some(3))
        );
        let change = parse(&["label=", "timeout=none", "delay=0s"]).unwrap();
        assert_eq!((change.label, change.timeout_ms, change.available_at), (Some(None), Some(None), Some(0)));
    }

    #[test]
    fn nonsense_is_refused_with_the_key() {
        for text in [
            "priority",
            "priority=x",
            "queue=",
            "colour=red",
            "delay=5",
            "timeout=",
            "retries=-1",
            "retries=4294967295",
            "=x",
            "\x1b=1",
        ] {
            let error = parse(&[text]).unwrap_err();
            assert!(!error.is_empty(), "{text}");
        }
    }
}
