//! Server-sent events: each change of a job, resumable by `Last-Event-ID`.
//!
//! A follower that reads slowly is not waited for: it reads on from its position when it can. What
//! it does not want to see still moves its position, so that it never reads that again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use crate::job::{Position, State};
use crate::parse::values;
use crate::queue::changes::Changes;
use crate::web::app::App;
use crate::web::body::{Step, pulled};
use crate::web::hub::{Line, Page, moved_to};
use crate::web::limits::{FOLLOWERS_MAX, HEARTBEAT};
use crate::web::problem::Problem;
use crate::web::query::Query;
use crate::web::thread::on_thread;

/// The type of an event stream.
pub const EVENT_STREAM: &str = "text/event-stream";
/// How long a browser waits before it connects again, in milliseconds.
const RETRY_MS: u32 = 2_000;
/// A sign of life.
const BEAT: &[u8] = b": \n\n";

/// Shortest time between two reads, however often the file changes.
const REST: Duration = Duration::from_millis(50);
/// How long the thread waits before it looks whether there are followers.
const LOOK: Duration = Duration::from_secs(2);

/// Which changes a client wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub states: Vec<State>,
    pub queue: Option<String>,
    pub label: Option<String>,
}

impl Wanted {
    /// # Errors
    /// A value is not valid.
    pub fn of(query: &Query) -> Result<Self, Problem> {
        let state = |word: &str| word.parse::<State>().map_err(|why| Problem::usage(format!("state: {why}")));
        Ok(Self {
            states: query.all("state").map(state).collect::<Result<_, _>>()?,
            queue: query.parsed("queue", values::parse_name)?,
            label: query.parsed("label", values::parse_label)?,
        })
    }

    /// Whether this change is one of them.
    pub fn has(&self, line: &Line) -> bool {
        let is = |wanted: &Option<String>, given: Option<&str>| wanted.is_none() || wanted.as_deref() == given;
        is(&self.queue, Some(&line.queue))
            && is(&self.label, line.label.as_deref())
            && (self.states.is_empty() || line.state.is_some_and(|state| self.states.contains(&state)))
    }
}

/// Whether a client asks for a stream.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|all| all.split(',')).any(|one| one.split(';').next().unwrap_or("").trim() == EVENT_STREAM)
}

/// A client that follows the changes.
struct Follower {
    app: Arc<App>,
    wanted: Arc<Wanted>,
    position: Position,
    changed: watch::Receiver<u64>,
    /// The last page was not the last one.
    is_behind: bool,
    /// There is much to read: it waits for its turn with other long answers.
    is_far: bool,
    is_new: bool,
    /// How often the file had been opened again when it began.
    of: u64,
    _place: OwnedSemaphorePermit,
}

/// Returns a body with all changes after a position, and all later ones.
///
/// # Errors
/// Too many clients follow, or the position is not one of this file.
pub async fn follow(app: &Arc<App>, query: &Query, headers: &HeaderMap) -> Result<Body, Problem> {
    let wanted = Arc::new(Wanted::of(query)?);
    let given = headers.get("last-event-id").map(|value| value.to_str());
    let given = given.transpose().map_err(|_| Problem::usage("Last-Event-ID: it has characters that are not ASCII"))?;
    // A browser that has seen no change yet may send an empty one.
    let after = given.filter(|text| !text.is_empty()).or_else(|| query.get("after"));
    let after = after.map(|text| text.parse::<Position>().map_err(Problem::usage)).transpose()?;
    let place = Arc::clone(&app.followers).try_acquire_owned();
    let place = place.map_err(|_| Problem::busy("too many clients follow the events already"))?;
    let changed = app.live.subscribe();
    let of = app.reopened.load(Ordering::Relaxed);
    let known = app.live.newest(of).zip(after).filter(|(newest, after)| after.is_within(*newest));
    let Begin { position, is_far, of } = match known {
        // Positions only grow: many clients that come back need no thread for that.
        Some((newest, position)) => Begin { position, is_far: position != newest, of },
        None => on_thread(app, move |app| begin(app, after)).await??,
    };
    let app = Arc::clone(app);
    let follower = Follower { app, wanted, position, changed, is_behind: true, is_far, is_new: true, of, _place: place };
    Ok(pulled(follower, next))
}

/// Where a client begins.
struct Begin {
    position: Position,
    /// As in [`Follower`].
    is_far: bool,
    of: u64,
}

/// Looks whether the file has a position; without one, a client begins at the newest.
fn begin(app: &App, after: Option<Position>) -> crate::error::Result<Begin> {
    let queue = app.reader()?;
    let of = app.reopened.load(Ordering::Relaxed);
    let newest = match after {
        Some(after) => queue.newest_of(after)?,
        None => queue.newest_position()?,
    };
    app.live.learn(newest, of);
    let position = after.unwrap_or(newest);
    Ok(Begin { position, is_far: position != newest, of })
}

async fn next(mut follower: Follower) -> Step<Follower> {
    if follower.is_new {
        follower.is_new = false;
        let text = format!("retry: {RETRY_MS}\nid: {}\n\n", follower.position);
        return Ok(Some((text.into(), follower)));
    }
    loop {
        if !follower.is_behind {
            match timeout(HEARTBEAT, follower.changed.changed()).await {
                Err(_) => return Ok(Some((Bytes::from_static(BEAT), follower))),
                Ok(Err(_)) => return Ok(None),
                Ok(Ok(())) => {}
            }
        }
        // The first words are sent meanwhile, and a client that has left is not read for.
        let turn = match follower.is_far {
            true => match follower.app.pace_of_lists.turn().await {
                Ok(turn) => Some(turn),
                Err(_) => return Ok(Some((Bytes::from_static(BEAT), follower))),
            },
            false => None,
        };
        let (from, of, wanted) = (follower.position, follower.of, Arc::clone(&follower.wanted));
        let read = move |app: &App| {
            let queue = app.reader()?;
            // In another file the position means other changes: the stream ends.
            if app.reopened.load(Ordering::Relaxed) != of {
                return Ok(None);
            }
            let page = match turn {
                Some(turn) => turn.charged(|| app.live.page(&queue, from, of, false)),
                // What has just happened is told at once.
                None => app.pace_of_lists.noted(|| app.live.page(&queue, from, of, true)),
            };
            // The file may have lost positions: the next client asks it.
            let page = page.inspect_err(|_| app.live.forget())?;
            Ok::<_, crate::error::Error>(Some((frames(&page, &wanted), page.next, page.is_full)))
        };
        // The client connects again with its position, and is told what is wrong.
        let read = on_thread(&follower.app, read).await.map_err(|problem| problem.text)?;
        let Some((text, next, is_full)) = read? else { return Ok(None) };
        (follower.position, follower.is_behind) = (next, is_full || next != from);
        follower.is_far = is_full;
        if !text.is_empty() {
            return Ok(Some((text, follower)));
        }
    }
}

/// Returns what is sent of a page.
fn frames(page: &Page, wanted: &Wanted) -> Bytes {
    if *wanted == Wanted::default() {
        return page.text.clone();
    }
    let chosen = page.lines.iter().filter(|(line, _)| wanted.has(line));
    let mut text: Vec<u8> = chosen.flat_map(|(_, at)| &page.text[at.clone()]).copied().collect();
    let last = page.lines.iter().rfind(|(line, _)| wanted.has(line)).map(|(line, _)| line.position);
    if !page.lines.is_empty() && last != Some(page.next) {
        text.extend(moved_to(page.next).bytes());
    }
    text.into()
}

/// Starts the thread that waits for changes. It sleeps while no client follows them.
///
/// # Errors
/// No thread can be started.
pub fn start(app: &Arc<App>) -> std::io::Result<()> {
    let of_thread = Arc::clone(app);
    let handle = thread::Builder::new().name("web-live".into()).spawn(move || watch(&of_thread))?;
    app.live.watched_by(handle.thread().clone());
    Ok(())
}

fn watch(app: &App) {
    let (mut changes, mut of) = (Changes::default(), 0);
    loop {
        if app.followers.available_permits() == FOLLOWERS_MAX {
            app.live.forget_pages();
            thread::park_timeout(LOOK * 30);
            continue;
        }
        // What it has open may be the file before.
        let reopened = app.reopened.load(Ordering::Relaxed);
        if std::mem::replace(&mut of, reopened) != reopened {
            changes = Changes::default();
        }
        // An error is told to the followers by their own reads.
        let looked = app.reader().and_then(|queue| Ok((changes.poll(&queue.store)?, queue)));
        match looked {
            Ok((true, _)) => {
                changes.stir();
                app.live.tell();
                thread::sleep(REST);
            }
            Ok((false, queue)) => _ = changes.wait(&queue.store, &[], LOOK),
            Err(_) => {
                changes = Changes::default();
                app.live.tell();
                thread::sleep(LOOK);
            }
        }
    }
}
