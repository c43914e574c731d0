//! Hands jobs to the running worker, which adds them on its open connection with one flush for many
//! clients: the client's side, and what both sides say (`worker::loops::handover` listens).
//!
//! One connection is one request and one answer, each a packet. The client opens nothing but the
//! socket. The permissions decide which client reaches which worker: the socket (0600) is in the
//! directory beside the file (0700), and the client uses it only if both belong to its user. The
//! request names the file by device and inode, so that it is refused by a worker that has another
//! one open.
//!
//! The request has a name, its [`Key`]. A client that gets no answer opens the file and looks for
//! its jobs by that name, see [`crate::store::receipt`]; that is the only way after
//! [`Outcome::Lost`]. After [`Outcome::NotTaken`] the worker has not added the jobs and will not.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, FileType, StatxFlags, statx};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::host::waker::short;
use crate::job::NewJob;
use crate::place::Place;
use crate::run::machine::{boottime_ms, nonce};
use crate::store::USER_VERSION;
use crate::store::receipt::{Answer, Key};

/// How long a client waits for its answer, in milliseconds: shorter than the worker accepts the
/// request.
const WAIT_MS: u64 = 50;
/// Longest packet, in bytes; a request with more jobs is not handed over. A socket with default
/// buffers takes twice as much.
pub(crate) const PACKET_BYTES_MAX: usize = 64 << 10;
/// `stx_attributes`: this is the root of a mount.
const MOUNT_ROOT: u64 = 0x2000;
/// The smallest file that can have a worker, in bytes.
const FILE_BYTES_MIN: u64 = 512;
/// Read and write permission of the owner; write permission of group and others.
const OWN: u16 = 0o600;
const OTHERS_WRITE: u16 = 0o022;

/// The identity of a file: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileIdentity {
    device: (u32, u32),
    inode: u64,
}

/// A request to add jobs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// The file, as the client sees it.
    pub file: FileIdentity,
    pub key: Key,
    pub jobs: Vec<NewJob>,
}

/// The same, as it is sent.
#[derive(Serialize)]
struct Sending<'a> {
    file: FileIdentity,
    key: Key,
    jobs: &'a [NewJob],
}

/// What the worker answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The jobs are on the disk.
    Added(Answer),
    /// The jobs are refused.
    Refused {
        by: Refusal,
        text: String,
        /// As in [`Answer`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        similar_queue: Option<String>,
    },
    /// The worker has not added the jobs, and will not.
    Declined,
}

/// The error that a refusal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refusal {
    Invalid,
    NotFound,
    Refused,
}

impl Refusal {
    fn error(self, text: String) -> Error {
        match self {
            Self::Invalid => Error::Invalid(text),
            Self::NotFound => Error::NotFound(text),
            Self::Refused => Error::Refused(text),
        }
    }
}

impl Reply {
    /// A refusal in the words of the error.
    pub(crate) fn refusal(error: Error, similar_queue: Option<String>) -> Self {
        let (by, text) = match error {
            Error::Invalid(text) => (Refusal::Invalid, text),
            Error::NotFound(text) => (Refusal::NotFound, text),
            Error::Refused(text) => (Refusal::Refused, text),
            _ => return Self::Declined,
        };
        Self::Refused { by, text, similar_queue }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn decode(packet: &[u8]) -> Option<Self> {
        serde_json::from_slice(packet).ok()
    }
}

/// The first line of a request: worker and client must be of one version, and so have the same
/// guards and the same words.
fn first_line() -> String {
    format!("tenure {} {USER_VERSION}\n", env!("CARGO_PKG_VERSION"))
}

impl Request {
    /// Decodes a packet; `None` if it is not a request of this version.
    pub(crate) fn decode(packet: &[u8]) -> Option<Self> {
        serde_json::from_slice(packet.strip_prefix(first_line().as_bytes())?).ok()
    }
}

impl Sending<'_> {
    /// Returns the packet; `None` if it would be too long.
    fn encode(&self) -> Option<Vec<u8>> {
        let mut packet = first_line().into_bytes();
        serde_json::to_writer(&mut packet, self).ok()?;
        (packet.len() <= PACKET_BYTES_MAX).then_some(packet)
    }
}

impl FileIdentity {
    /// Returns the identity of an open worker's file; `None` if it is gone.
    pub(crate) fn of(place: &Place) -> Option<Self> {
        let found = statx(CWD, place.db(), AtFlags::SYMLINK_NOFOLLOW, StatxFlags::INO).ok()?;
        Some(Self { device: (found.stx_dev_major, found.stx_dev_minor), inode: found.stx_ino })
    }

    /// The same for a client; `None` if the file, or the directory beside it, is anything but a
    /// plain one of this user. Then the file is opened, and what is wrong is reported there.
    fn of_a_plain_one(place: &Place) -> Option<Self> {
        let me = rustix::process::geteuid().as_raw();
        let look = |path: &Path| statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS).ok();
        let found = look(place.db())?;
        let is_plain = FileType::from_raw_mode(found.stx_mode.into()) == FileType::RegularFile
            && found.stx_nlink == 1
            && found.stx_size >= FILE_BYTES_MIN
            && found.stx_uid == me
            && found.stx_mode & OWN == OWN
            && found.stx_attributes.bits() & MOUNT_ROOT == 0;
        let dir = look(place.dir())?;
        let is_private = FileType::from_raw_mode(dir.stx_mode.into()) == FileType::Directory
            && dir.stx_uid == me
            && dir.stx_mode & OTHERS_WRITE == 0;
        (is_plain && is_private).then_some(Self { device: (found.stx_dev_major, found.stx_dev_minor), inode: found.stx_ino })
    }
}

/// What became of a request.
#[derive(Debug)]
pub enum Outcome {
    /// The worker has added the jobs, and they are on the disk.
    Added(Answer),
    /// The worker refuses the jobs. The second value is as in [`Answer`].
    Refused(Error, Option<String>),
    /// The worker has not added them and will not, or there is none.
    NotTaken,
    /// The worker may have added them, or may still do so.
    Lost(Key),
}

/// A request that was sent.
#[derive(Debug)]
pub struct Sent {
    socket: OwnedFd,
    key: Key,
    until: Instant,
}

impl Sent {
    /// Sends a request to the worker of this file. `None`: no worker has got it, and the jobs must
    /// be added in another way.
    pub fn send(place: &Place, jobs: &[NewJob]) -> Option<Self> {
        let until = Instant::now() + Duration::from_millis(WAIT_MS);
        let file = FileIdentity::of_a_plain_one(place)?;
        let key = Key { sent_ms: boottime_ms(), token: nonce().0 };
        let packet = Sending { file, key, jobs }.encode()?;
        let socket = connect(place).ok()?;
        // A packet is sent as a whole or not at all.
        rustix::net::send(&socket, &packet, SendFlags::NOSIGNAL).ok()?;
        Some(Self { socket, key, until })
    }

    /// Waits for the answer.
    pub fn outcome(self) -> Outcome {
        match self.reply() {
            Some(Reply::Added(answer)) => Outcome::Added(answer),
            Some(Reply::Refused { by, text, similar_queue }) => Outcome::Refused(by.error(text), similar_queue),
            Some(Reply::Declined) => Outcome::NotTaken,
            None => Outcome::Lost(self.key),
        }
    }

    /// An answer that has arrived is read even if it is late.
    fn reply(&self) -> Option<Reply> {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            match poll(&mut fds, Some(&left)) {
                Ok(0) => return None,
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        let mut packet = vec![0; PACKET_BYTES_MAX];
        let (n, _) = rustix::net::recv(&self.socket, packet.as_mut_slice(), RecvFlags::DONTWAIT).ok()?;
        Reply::decode(&packet[..n])
    }
}

/// Connects without waiting: a worker whose line is full is not waited for.
fn connect(place: &Place) -> std::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    let path = place.handover_socket();
    let short = short(&path)?;
    let address = SocketAddrUnix::new(short.as_ref().map_or(path.as_path(), |short| short.path()))?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Argv, JobId, Need};
    use crate::store::receipt::OneJob;

    fn request() -> Request {
        let mut job = NewJob::new(Argv::new(vec![b"printf".to_vec(), vec![0xff, b'x']]).unwrap());
        job.after = vec![(JobId(3), Need::Failed)];
        job.placement.env.insert("A".into(), "ü\n".into());
        job.policy.timeout_ms = Some(7);
        Request { file: FileIdentity { device: (8, 1), inode: 77 }, key: Key { sent_ms: 5, token: [0xfe; 16] }, jobs: vec![job] }
    }

    fn encoded(request: &Request) -> Option<Vec<u8>> {
        Sending { file: request.file, key: request.key, jobs: &request.jobs }.encode()
    }

    #[test]
    fn a_request_arrives_as_it_was_sent() {
        let request = request();
        let packet = encoded(&request).unwrap();
        assert_eq!(Request::decode(&packet), Some(request));
        for end in 0..packet.len() {
            assert_eq!(Request::decode(&packet[..end]), None, "{end} bytes");
        }
    }

    #[test]
    fn a_request_of_another_version_is_not_understood() {
        let packet = encoded(&request()).unwrap();
        let text = String::from_utf8(packet).unwrap();
        for (old, new) in [(env!("CARGO_PKG_VERSION"), "0.0.9"), ("\"jobs\"", "\"job\""), ("\"key\"", "\"more\":1,\"key\"")] {
            assert_ne!(text.replacen(old, new, 1), text);
            assert_eq!(Request::decode(text.replacen(old, new, 1).as_bytes()), None, "{new}");
        }
    }

    #[test]
    fn what_does_not_fit_into_a_packet_is_not_sent() {
        let mut request = request();
        let one = request.jobs[0].clone();
        request.jobs = vec![one; 1_000];
        assert_eq!(encoded(&request), None);
    }

    #[test]
    fn an_answer_arrives_as_it_was_sent() {
        let one = OneJob { id: JobId(7), existing: true, replaced: None };
        let other = OneJob { id: JobId(8), existing: false, replaced: Some(JobId(7)) };
        let added = Reply::Added(Answer { jobs: vec![one, other], similar_queue: Some("build".into()) });
        let refused = Reply::refusal(Error::NotFound("no".into()), Some("build".into()));
        for reply in [added, refused, Reply::Declined] {
            assert_eq!(Reply::decode(&reply.encode()), Some(reply));
        }
        assert_eq!(Reply::decode(b""), None);
    }
}
