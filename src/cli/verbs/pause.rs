//! `tenure pause` and `resume`: all queues at once, those that are made later too.
//!
//! What a queue was before stays: one that is paused by itself is still paused after `resume`.

use serde_json::json;

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::time;
use crate::cli::view::escape::{command_on, quote_text};
use crate::error::{Result, exit};
use crate::queue::Queue;
use crate::store::job::read;

/// Most queues that are named.
const NAMED_MAX: usize = 10;

pub fn pause(face: &Face) -> Result<u8> {
    let queue = Queue::of(&face.client()?);
    let changed = queue.pause_all()?;
    let at = queue.all_paused_since_ms()?;
    if face.json {
        face.document(json!({"all_paused_at": at.map(time::utc)}))?;
    } else if changed {
        face::say("all queues are paused: jobs that run continue, and no other starts until tenure resume");
    } else {
        let since = at.map(|at| format!(" since {}", time::local(at, &face.now()))).unwrap_or_default();
        face::say(&format!("all queues were paused already{since}"));
    }
    Ok(exit::OK)
}

pub fn resume(face: &Face) -> Result<u8> {
    let queue = Queue::of(&face.client()?);
    let changed = queue.resume_all()?;
    if face.json {
        face.document(json!({"all_paused_at": queue.all_paused_since_ms()?.map(time::utc)}))?;
        return Ok(exit::OK);
    }
    face::say(if changed { "the pause of all queues is over" } else { "there was no pause of all queues" });
    let queues = queue.store.read(read::queues)?;
    let paused: Vec<&str> = queues.iter().filter(|queue| queue.paused).map(|queue| queue.name.as_str()).collect();
    if let Some(first) = paused.first() {
        let more = if paused.len() > NAMED_MAX { ", ..." } else { "" };
        let names: Vec<String> = paused.iter().take(NAMED_MAX).map(|name| quote_text(name)).collect();
        let remedy = command_on("tenure queue resume", first, "");
        face::say(&format!("still paused by themselves: {}{more} ({remedy})", names.join(", ")));
    }
    Ok(exit::OK)
}
