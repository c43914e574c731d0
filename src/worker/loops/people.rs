//! The people thread: answers the requests of other users, see [`crate::job::people`].
//!
//! Any user of the machine may connect, so everything is bounded, of each user and of all:
//!
//! | a hostile client | costs |
//! | --- | --- |
//! | connects and says nothing, or does not read its answer | a place of its user, for a time |
//! | connects again and again | its own places: others have theirs |
//! | asks as fast as it can | its own rate; each round serves one request of each user |
//! | sends nonsense, descriptors, a packet that is too long | an answer; it is not kept |
//! | has no entry in the list of users | one place, that of all who have none |
//!
//! A request is answered before the next one is read: it takes the time of a few statements and of
//! one flush. Nothing here decides about a job: that is the
//! [`Answer`](crate::host::people::Answer), which gets the user, as the kernel says it, and the
//! bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType};

use crate::error::{Error, Result};
use crate::escape::quote_text;
use crate::host::people::{Asked, Door, REQUEST_BYTES_MAX, Sending, Told};
use crate::host::users::Known;
use crate::host::waker::short;
use crate::run::peer::Peer;
use crate::store::job::read;
use crate::worker::context::Context;
use crate::worker::loops::rate::Rate;

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 128;
/// Most connections, and most of one user.
const GUESTS_MAX: usize = 256;
const OF_USER_MAX: usize = 8;
/// Most connections that one round accepts.
const ACCEPTED_MAX: usize = 64;
/// How long a client may take to send its request, and to read its answer, in milliseconds.
const GUEST_MS: u64 = 5_000;
/// The number to which all users are counted that are not in the list of users.
const UNKNOWN: u32 = u32::MAX;
/// Pause of a round while a user has used up its rate, in milliseconds.
const REST_MS: u64 = 10;
/// Only the owner of a file removes it from the directory.
const STICKY: u32 = 0o1000;
/// Write permission of group and others.
const OTHERS_WRITE: u32 = 0o022;

/// The listening end.
pub struct People {
    listener: Arc<OwnedFd>,
    door: Door,
    guests: Vec<Guest>,
    known: Known,
    rates: BTreeMap<u32, Rate>,
    packet: Vec<u8>,
}

/// A connection.
struct Guest {
    socket: OwnedFd,
    peer: Peer,
    /// The user to whom it is counted: itself, or all who are not known.
    counted: u32,
    until: Instant,
    /// `None` until its request was read.
    sending: Option<Sending>,
    is_over: bool,
}

impl People {
    /// Listens. Under the worker lock; the socket of an earlier worker is replaced.
    ///
    /// # Errors
    /// This is not root's worker; the directory is not root's alone; another worker listens there.
    pub fn open(door: Door) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Err(Error::Invalid("only a worker of root can run the jobs of other users; omit --system".into()));
        }
        let path = door.socket.clone();
        let told = |e: io::Error| Error::io(format!("listening on {}", path.display()), e);
        make_directory(&path)?;
        remove_leftover(&path)?;
        let listen = || -> io::Result<OwnedFd> {
            let short = short(&path)?;
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
            rustix::net::bind(&socket, &SocketAddrUnix::new(short.as_ref().map_or(path.as_path(), |short| short.path()))?)?;
            // No user has written any directory above it, so this is the socket.
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
            rustix::net::listen(&socket, BACKLOG)?;
            Ok(socket)
        };
        let listener = Arc::new(listen().map_err(told)?);
        let packet = vec![0; REQUEST_BYTES_MAX];
        Ok(Self { listener, door, guests: Vec::new(), known: Known::default(), rates: BTreeMap::new(), packet })
    }

    /// Returns the socket; the thread ends when it is shut down.
    pub fn listener(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.listener)
    }

    fn wait(&self, is_resting: bool) {
        let now = Instant::now();
        let next = self.guests.iter().map(|guest| guest.until).min();
        let next = if is_resting { Some(now + Duration::from_millis(REST_MS)) } else { next };
        let next = next.map(|until| until.saturating_duration_since(now));
        let next = next.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) });
        let mut fds = vec![PollFd::new(&self.listener, PollFlags::IN)];
        let wants = |guest: &Guest| if guest.sending.is_some() { PollFlags::OUT } else { PollFlags::IN };
        // One that waits for its rate would be ready at once.
        fds.extend(self.guests.iter().filter(|_| !is_resting).map(|guest| PollFd::new(&guest.socket, wants(guest))));
        let _an_error_is_a_round_too = poll(&mut fds, next.as_ref());
    }

    /// Accepts the clients that have come; false if the system gives no more descriptors.
    fn accept(&mut self) -> bool {
        for _ in 0..ACCEPTED_MAX {
            let socket = match rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(socket) => socket,
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(_) => return false,
            };
            let Ok(peer) = Peer::of(&socket) else { continue };
            // In a user namespace one user can have thousands of numbers.
            let counted = if self.known.has(peer.uid) { peer.uid } else { UNKNOWN };
            let of_user = self.guests.iter().filter(|guest| guest.counted == counted).count();
            if of_user >= OF_USER_MAX || self.guests.len() >= GUESTS_MAX {
                // Its buffer is empty. The client tries again.
                let _it_may_be_gone = Sending::new(Told::default()).send(&socket);
                continue;
            }
            let until = Instant::now() + Duration::from_millis(GUEST_MS);
            self.guests.push(Guest { socket, peer, counted, until, sending: None, is_over: false });
        }
        true
    }

    /// Sends what is left of answers.
    fn send(&mut self) {
        for guest in &mut self.guests {
            if let Some(sending) = &mut guest.sending {
                guest.is_over |= sending.send(&guest.socket).unwrap_or(true);
            }
        }
    }

    fn drop_over(&mut self) {
        let now = Instant::now();
        self.guests.retain(|guest| !guest.is_over && guest.until > now);
        self.rates.retain(|_, rate| !rate.is_full(now));
    }

    /// Answers one request of each user. True: a user has used up its rate.
    fn answer(&mut self, ctx: &Context) -> bool {
        let (mut served, mut is_resting) = (BTreeSet::new(), false);
        for guest in self.guests.iter_mut().filter(|guest| guest.sending.is_none()) {
            if !is_readable(&guest.socket) {
                continue;
            }
            // It has done its part, and waits for its turn.
            let now = Instant::now();
            guest.until = now + Duration::from_millis(GUEST_MS);
            if served.contains(&guest.counted) {
                continue;
            }
            let rate = self.rates.entry(guest.counted).or_insert(Rate::full(now));
            if !rate.take(now) {
                is_resting = true;
                continue;
            }
            served.insert(guest.counted);
            // Descriptors that come with it are closed by the kernel: there is no room for them.
            let n = match rustix::net::recv(&guest.socket, self.packet.as_mut_slice(), RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
                Ok((_, n)) if n > 0 => n,
                Err(Errno::AGAIN | Errno::INTR) => continue,
                _ => {
                    guest.is_over = true;
                    continue;
                }
            };
            // One that is too long is not cut: no request is empty.
            let request = self.packet.get(..n).unwrap_or_default();
            let is_operator = self.door.operators.is_some_and(|group| guest.peer.is_in(group));
            let asked = Asked { uid: guest.peer.uid, is_known: guest.counted != UNKNOWN, is_operator, request };
            guest.sending = Some(Sending::new((self.door.answer)(&ctx.store, &asked)));
            rate.charge(now.elapsed());
            guest.until = Instant::now() + Duration::from_millis(GUEST_MS);
        }
        is_resting
    }
}

fn is_readable(socket: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&now)), Ok(n) if n > 0)
}

/// The directory and all above it belong to root alone: no other user can put a socket, or a link,
/// of theirs in its place.
fn make_directory(socket: &Path) -> Result<()> {
    let dir = socket.parent().filter(|_| socket.is_absolute());
    let dir = dir.ok_or_else(|| Error::Invalid(format!("{}: the path of a socket is absolute", socket.display())))?;
    dir.parent().map_or(Ok(()), |above| of_root_alone(above, STICKY))?;
    match std::fs::DirBuilder::new().mode(0o755).create(dir) {
        // Also where the worker makes files that others do not read.
        Ok(()) => std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        failed => failed,
    }
    .map_err(|e| Error::io(format!("making {}", dir.display()), e))?;
    of_root_alone(dir, 0)
}

/// Checks a directory and all above it, each at its real place. In a shared one with the sticky
/// bit, such as `/tmp`, no other user replaces what is root's: `or_bit` says whether that is
/// enough.
fn of_root_alone(dir: &Path, or_bit: u32) -> Result<()> {
    let real = std::fs::canonicalize(dir).map_err(|e| Error::io(format!("looking at {}", dir.display()), e))?;
    for dir in real.ancestors().chain(dir.ancestors()) {
        let meta = std::fs::symlink_metadata(dir).map_err(|e| Error::io(format!("looking at {}", dir.display()), e))?;
        let enough = if dir == real { or_bit } else { STICKY };
        let is_shared = meta.mode() & OTHERS_WRITE != 0 && meta.mode() & enough == 0;
        if meta.uid() != 0 || (is_shared && !meta.is_symlink()) {
            return Err(Error::Refused(format!(
                "{} is not a directory that only root writes, so another user could listen there; chown root {0}; chmod go-w {0}",
                dir.display()
            )));
        }
    }
    Ok(())
}

/// Removes the socket of a worker that was killed.
fn remove_leftover(path: &Path) -> Result<()> {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !meta.file_type().is_socket() {
        return Err(Error::Refused(format!("{} is not a socket; remove it, or name another people.socket", path.display())));
    }
    let connected = short(path).and_then(|short| {
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        Ok(rustix::net::connect(&socket, &SocketAddrUnix::new(short.as_ref().map_or(path, |short| short.path()))?)?)
    });
    if connected.is_ok() || connected.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
        let remedy = "end it, or name another people.socket";
        return Err(Error::Refused(format!("another system worker listens on {}; {remedy}", path.display())));
    }
    std::fs::remove_file(path).map_err(|e| Error::io(format!("removing {}", path.display()), e))
}

/// Any user can add a job that fails.
fn warn_of_pauses(ctx: &Context) {
    let queues = ctx.store.read(read::queues).unwrap_or_default();
    for queue in queues.iter().filter(|queue| queue.pauses_on_failure && ctx.options.people.queues.contains(&queue.name)) {
        let name = quote_text(&queue.name);
        log::warn!(
            "queue {name} pauses itself when a job fails, and each user can add one that does; tenure queue set {name} --on-failure none"
        );
    }
}

/// The thread, until the worker detaches from its runs.
pub fn serve(ctx: &Arc<Context>, people: &mut People) {
    warn_of_pauses(ctx);
    let mut is_resting = false;
    while !ctx.is_detaching() {
        people.wait(is_resting);
        if !people.accept() {
            ctx.pause(REST_MS);
        }
        is_resting = people.answer(ctx);
        people.send();
        people.drop_over();
    }
    let _no_client_is_misled = std::fs::remove_file(&people.door.socket);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_others_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("run/system.sock");
        make_directory(&socket).unwrap();
        let set = |mode| std::fs::set_permissions(socket.parent().unwrap(), std::fs::Permissions::from_mode(mode)).unwrap();
        if rustix::process::geteuid().is_root() {
            make_directory(&socket).unwrap();
            for mode in [0o775, 0o757, 0o1777] {
                set(mode);
                assert!(make_directory(&socket).unwrap_err().to_string().contains("only root writes"), "{mode:o}");
            }
            // One above it, which is not shared as /tmp is.
            set(0o755);
            let above = |mode| std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            above(0o777);
            assert!(make_directory(&socket).is_err());
            above(0o1777);
            make_directory(&socket).unwrap();
            // And any above that one.
            let deep = dir.path().join("run/deep/system.sock");
            std::fs::create_dir(deep.parent().unwrap()).unwrap();
            make_directory(&deep).unwrap();
            above(0o777);
            assert!(make_directory(&deep).is_err(), "a directory two levels above");
            above(0o1777);
            std::os::unix::fs::chown(dir.path(), Some(1), None).unwrap();
            let link = dir.path().join("link");
            assert!(make_directory(&socket).is_err() && make_directory(&link.join("system.sock")).is_err());
            assert!(!link.exists(), "nothing is made in a directory of a user");
            std::os::unix::fs::chown(dir.path(), Some(0), None).unwrap();
            std::os::unix::fs::symlink("/etc", &link).unwrap();
            above(0o755);
            make_directory(&link.join("system.sock")).unwrap();
        }
        assert!(make_directory(Path::new("relative.sock")).is_err());
    }

    #[test]
    fn what_is_not_a_leftover_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("system.sock");
        remove_leftover(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        assert!(remove_leftover(&path).is_err() && path.exists());
    }
}
