//! The handover thread: adds the jobs that clients hand over, on the worker's open connection.
//!
//! Each round accepts what has come, reads what is complete, and adds the jobs of all of it in one
//! transaction. It does not wait for the flush: the flusher answers when the commit is on the disk,
//! and meanwhile the next round joins the next flush. A client has sent its whole request in one
//! packet, so none is waited for, and one that is slow, silent or hostile delays no other.
//!
//! A connection is closed without an answer where it is not certain that the jobs are not added:
//! the client then looks into the file ([`crate::store::receipt`]).

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use crate::error::{Error, Result};
use crate::host::handover::{FileIdentity, PACKET_BYTES_MAX, Reply, Request};
use crate::host::waker::short;
use crate::job::NewJob;
use crate::place::Place;
use crate::run::machine::boottime_ms;
use crate::store::Ticket;
use crate::store::receipt;
use crate::worker::context::Context;

/// Clients that may wait to be accepted. One more adds its jobs itself.
const BACKLOG: i32 = 128;
/// Most connections without a request. If there are more, the oldest is closed.
const SILENT_MAX: usize = 64;
/// How long a connection may be without a request, in milliseconds.
const SILENT_MS: u64 = 100;
/// Wait after the system has refused a descriptor, in milliseconds.
const REST_MS: u64 = 20;
/// Requests in one transaction, in bytes, and one more: other writes of the worker wait for it.
const ROUND_BYTES_MAX: usize = 256 << 10;
/// Most connections that one round accepts.
const ACCEPTED_MAX: usize = 64;

/// The listening end.
pub struct Door {
    listener: Arc<OwnedFd>,
    silent: VecDeque<Silent>,
    packet: Vec<u8>,
}

/// A connection without a request.
struct Silent {
    socket: OwnedFd,
    until: Instant,
}

/// A request and its connection.
struct Asked {
    socket: OwnedFd,
    request: Request,
}

impl Door {
    /// Created under the worker lock: leftovers of an earlier worker are replaced. No client can
    /// connect before the permissions are set.
    ///
    /// # Errors
    /// The socket cannot be created.
    pub fn open(place: &Place) -> Result<Self> {
        let path = place.handover_socket();
        let told = |e: std::io::Error| Error::io(format!("listening on {}", path.display()), e);
        let _none_left = std::fs::remove_file(&path);
        let short = short(&path).map_err(told)?;
        let listen = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
            let address = SocketAddrUnix::new(short.as_ref().map_or(path.as_path(), |short| short.path()))?;
            rustix::net::bind(&socket, &address)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
            rustix::net::listen(&socket, BACKLOG)?;
            Ok(socket)
        };
        Ok(Self { listener: Arc::new(listen().map_err(told)?), silent: VecDeque::new(), packet: vec![0; PACKET_BYTES_MAX] })
    }

    /// Returns the socket; the thread ends when it is shut down.
    pub fn listener(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.listener)
    }

    /// Waits for a client, a request or the end of the worker.
    fn wait(&self) {
        let next = self.silent.front().map(|one| one.until.saturating_duration_since(Instant::now()));
        let next = next.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) });
        let mut fds = vec![PollFd::new(&self.listener, PollFlags::IN)];
        fds.extend(self.silent.iter().map(|one| PollFd::new(&one.socket, PollFlags::IN)));
        let _an_error_is_a_round_too = poll(&mut fds, next.as_ref());
    }

    /// Accepts the clients that have come; false if the system gives no more descriptors.
    fn accept(&mut self) -> bool {
        let until = Instant::now() + Duration::from_millis(SILENT_MS);
        for _ in 0..ACCEPTED_MAX {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match rustix::net::accept_with(&self.listener, flags) {
                Ok(socket) => self.silent.push_back(Silent { socket, until }),
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Returns the requests that have arrived. What is not a request of this version is declined.
    fn requests(&mut self) -> Vec<Asked> {
        let (mut asked, mut bytes) = (Vec::new(), 0);
        let (packet, now) = (&mut self.packet, Instant::now());
        let mut left = VecDeque::with_capacity(self.silent.len());
        for one in self.silent.drain(..) {
            if bytes > ROUND_BYTES_MAX {
                left.push_back(one);
                continue;
            }
            match rustix::net::recv(&one.socket, packet.as_mut_slice(), RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
                Ok((_, 0)) => {}
                Ok((_, n)) => match packet.get(..n).and_then(Request::decode) {
                    Some(request) => {
                        bytes += n;
                        asked.push(Asked { socket: one.socket, request });
                    }
                    None => answer(&one.socket, &Reply::Declined),
                },
                Err(Errno::AGAIN | Errno::INTR) if one.until > now => left.push_back(one),
                Err(_) => {}
            }
        }
        left.drain(..left.len().saturating_sub(SILENT_MAX));
        self.silent = left;
        asked
    }
}

/// The thread, until the worker detaches from its runs.
pub fn serve(ctx: &Arc<Context>, door: &mut Door) {
    while !ctx.is_detaching() {
        door.wait();
        if !door.accept() {
            // Clients that are not accepted add their jobs themselves.
            ctx.pause(REST_MS);
        }
        let asked = door.requests();
        if !asked.is_empty() {
            add(ctx, asked);
        }
    }
}

/// What becomes of a request in the transaction.
enum Verdict {
    Reply(Reply),
    /// The jobs are added when the transaction is.
    Added(receipt::Done),
}

/// Adds the jobs of these requests, and has them answered after the flush.
fn add(ctx: &Arc<Context>, asked: Vec<Asked>) {
    let (sockets, requests): (Vec<_>, Vec<_>) = asked.into_iter().map(|one| (one.socket, one.request)).unzip();
    let decline = |sockets: Vec<OwnedFd>| sockets.iter().for_each(|socket| answer(socket, &Reply::Declined));
    let file = FileIdentity::of(ctx.place()).filter(|_| ctx.store.health().fatal.is_none());
    let Some(file) = file else { return decline(sockets) };
    let concerns_claims = requests.iter().flat_map(|request| &request.jobs).any(needs_more_than_a_slot);
    let clock = ctx.store.clock().clone();
    let all = move |conn: &Connection| {
        let now_ms = clock.now_ms();
        requests.iter().map(|request| add_one(conn, request, file, now_ms)).collect::<Result<Vec<_>>>()
    };
    match ctx.commit_believing_sparing(all) {
        Ok((verdicts, ticket)) => {
            // In a full worker the slot that is free first takes what is ready by itself.
            if concerns_claims || ctx.slots.free() > 0 {
                ctx.wake_claims();
            }
            tell(ctx, sockets.into_iter().zip(verdicts).collect(), ticket);
        }
        // Nothing was written: the file is not this worker's, is locked while it ends, or is full.
        Err(Error::File(_) | Error::Replaced { .. } | Error::Busy(_) | Error::DiskFull(_)) => decline(sockets),
        // The clients see the end of their connections.
        Err(error) => log::debug!("jobs that were handed over may not be added: {error}"),
    }
}

/// Whether the claim loop must learn of a job that cannot start now: of a time in it, or that it
/// can never start.
fn needs_more_than_a_slot(job: &NewJob) -> bool {
    job.available_at != 0 || job.expires_at.is_some() || !job.after.is_empty()
}

/// Each request has a savepoint of its own: one that is refused does not affect the others.
fn add_one(conn: &Connection, request: &Request, file: FileIdentity, now_ms: i64) -> Result<Verdict> {
    let age_ms = boottime_ms().checked_sub(request.key.sent_ms);
    if age_ms.is_none_or(|ms| ms > receipt::WORKER_MS) || request.file != file {
        return Ok(Verdict::Reply(Reply::Declined));
    }
    match receipt::in_savepoint(conn, || receipt::add_by_worker(conn, &request.key, &request.jobs, now_ms))? {
        Ok(done) => Ok(Verdict::Added(done)),
        Err(refusal) => Ok(Verdict::Reply(Reply::refusal(refusal, receipt::similar_queue(conn, &request.jobs)?))),
    }
}

/// Answers each client: a refusal at once, the others after the flush. If there is none, their
/// connections are closed.
fn tell(ctx: &Arc<Context>, verdicts: Vec<(OwnedFd, Verdict)>, ticket: Ticket) {
    let (mut waiting, mut freed, mut has_replaced) = (Vec::new(), Vec::new(), false);
    for (socket, verdict) in verdicts {
        match verdict {
            Verdict::Reply(reply) => answer(&socket, &reply),
            Verdict::Added(done) => {
                for one in done.added {
                    freed.extend(one.freed);
                    has_replaced |= one.replaced.is_some();
                }
                waiting.push((socket, Reply::Added(done.answer).encode()));
            }
        }
    }
    if waiting.is_empty() {
        return;
    }
    if has_replaced {
        ctx.stops.wake();
    }
    ctx.remove_secrets_after_flush(ticket, freed);
    let then = move || waiting.iter().for_each(|(socket, packet)| send(socket, packet));
    let _their_connections_are_closed = ctx.store.as_soon_as_flushed(ticket, then);
}

fn answer(socket: &OwnedFd, reply: &Reply) {
    send(socket, &reply.encode());
}

/// The buffer of a connection has room for its only answer.
fn send(socket: &OwnedFd, packet: &[u8]) {
    let _the_client_may_be_gone = rustix::net::send(socket, packet, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Argv, JobId, Need};

    #[test]
    fn a_full_worker_learns_of_what_a_free_slot_cannot_start() {
        let plain = || NewJob::new(Argv::from_json(r#"["true"]"#).unwrap());
        assert!(!needs_more_than_a_slot(&plain()));
        assert!(needs_more_than_a_slot(&NewJob { available_at: 1, ..plain() }));
        assert!(needs_more_than_a_slot(&NewJob { expires_at: Some(1), ..plain() }));
        assert!(needs_more_than_a_slot(&NewJob { after: vec![(JobId(1), Need::Done)], ..plain() }));
    }
}
