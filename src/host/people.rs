//! The socket by which other users reach the system worker: what both ends agree on, and the
//! client's end (`worker::loops::people` listens; [`crate::job::people`] says why).
//!
//! One connection is one request and one answer. The request is one packet. The answer is a length
//! of four bytes and as many bytes, in packets; with the first of them comes at most one
//! descriptor, of a log. So neither end waits for the other while it holds anything.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::cmsg_space;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    SocketAddrUnix, SocketFlags, SocketType, recvmsg, sendmsg,
};

use rustix::net::sockopt::{Timeout, set_socket_timeout};

use crate::host::waker::short;
use crate::run::peer::Peer;
use crate::store::Store;

/// Longest request, in bytes. A socket with default buffers takes twice as much.
pub const REQUEST_BYTES_MAX: usize = 64 << 10;
/// Longest answer, in bytes.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Bytes of an answer in one packet.
const PACKET_BYTES: usize = 32 << 10;
/// The user of the system worker.
const ROOT: u32 = 0;

/// A request, and who sent it.
#[derive(Debug)]
pub struct Asked<'a> {
    pub uid: u32,
    /// It is in the list of users.
    pub is_known: bool,
    /// A member of the group of operators.
    pub is_operator: bool,
    pub request: &'a [u8],
}

/// An answer. An empty one says that there is no place now, and that nothing was served.
#[derive(Debug, Default)]
pub struct Told {
    pub bytes: Vec<u8>,
    /// Open for reading.
    pub file: Option<OwnedFd>,
}

/// Answers a request; of a fixed cost, and without waiting for anything but the file.
pub type Answer = Arc<dyn Fn(&Store, &Asked<'_>) -> Told + Send + Sync>;

/// What a worker opens for other users.
#[derive(Clone)]
pub struct Door {
    pub socket: PathBuf,
    /// The group whose members are operators.
    pub operators: Option<u32>,
    pub answer: Answer,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("socket", &self.socket).field("operators", &self.operators).finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    /// No worker listens.
    NoWorker(io::Error),
    /// Another user than root listens there.
    NotRoot(u32),
    /// The request does not fit into a packet.
    TooLong(usize),
    /// There is no place now, and nothing was served.
    Busy,
    /// The worker has ended or closed the connection, or does not answer: the request may have
    /// been served.
    Lost,
}

/// An answer that is being sent.
#[derive(Debug)]
pub struct Sending {
    bytes: Vec<u8>,
    at: usize,
    file: Option<OwnedFd>,
}

impl Sending {
    pub fn new(told: Told) -> Self {
        let length = u32::try_from(told.bytes.len()).unwrap_or(0);
        let bytes = [&length.to_le_bytes()[..], &told.bytes].concat();
        Self { bytes, at: 0, file: told.file }
    }

    /// Sends what the socket takes now. True: all is sent.
    ///
    /// # Errors
    /// The client is gone.
    pub fn send(&mut self, socket: &OwnedFd) -> io::Result<bool> {
        while self.at < self.bytes.len() {
            let end = self.bytes.len().min(self.at + PACKET_BYTES);
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
            let mut rights = SendAncillaryBuffer::new(&mut space);
            let fds: Vec<_> = self.file.iter().map(AsFd::as_fd).collect();
            if !fds.is_empty() {
                rights.push(SendAncillaryMessage::ScmRights(&fds));
            }
            let packet = [IoSlice::new(&self.bytes[self.at..end])];
            match sendmsg(socket, &packet, &mut rights, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(_) => (self.at, self.file) = (end, None),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::NOBUFS) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

/// Sends a request and waits for its answer.
///
/// # Errors
/// There is none.
pub fn ask(socket: &Path, request: &[u8], until: Instant) -> Result<Told, Trouble> {
    if request.len() > REQUEST_BYTES_MAX {
        return Err(Trouble::TooLong(request.len()));
    }
    let connected = connect(socket, until)?;
    // Before anything is said: the request holds a command, and an environment.
    let listener = Peer::of(&connected).map_err(Trouble::NoWorker)?;
    if listener.uid != ROOT {
        return Err(Trouble::NotRoot(listener.uid));
    }
    // A worker without a place has answered and closed the connection already.
    let _the_answer_says = rustix::net::send(&connected, request, SendFlags::NOSIGNAL);
    match receive(&connected, until) {
        Some(told) if told.bytes.is_empty() => Err(Trouble::Busy),
        Some(told) => Ok(told),
        None => Err(Trouble::Lost),
    }
}

fn connect(path: &Path, until: Instant) -> Result<OwnedFd, Trouble> {
    let open = || -> io::Result<OwnedFd> {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        // It waits in line, where it is not overtaken by those who try again and again.
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        set_socket_timeout(&socket, Timeout::Send, Some(left))?;
        let short = short(path)?;
        let address = SocketAddrUnix::new(short.as_ref().map_or(path, |short| short.path()))?;
        rustix::net::connect(&socket, &address)?;
        Ok(socket)
    };
    loop {
        match open() {
            Ok(socket) => return Ok(socket),
            Err(error) if error.kind() == io::ErrorKind::Interrupted && Instant::now() < until => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(Trouble::Busy),
            Err(error) => return Err(Trouble::NoWorker(error)),
        }
    }
}

/// `None`: the connection ended before the whole answer was there.
fn receive(socket: &OwnedFd, until: Instant) -> Option<Told> {
    let (mut bytes, mut file) = (Vec::new(), None);
    let mut packet = vec![0; PACKET_BYTES];
    loop {
        wait(socket, until)?;
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let n = match recvmsg(socket, &mut [IoSliceMut::new(&mut packet)], &mut rights, flags) {
            Ok(message) => message.bytes,
            Err(Errno::AGAIN | Errno::INTR) => continue,
            Err(_) => return None,
        };
        for part in rights.drain() {
            if let RecvAncillaryMessage::ScmRights(mut fds) = part {
                file = file.or(fds.next());
            }
        }
        if n == 0 {
            return None;
        }
        bytes.extend_from_slice(&packet[..n]);
        let Some((length, rest)) = bytes.split_first_chunk::<4>() else { continue };
        let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= ANSWER_BYTES_MAX)?;
        if rest.len() >= length {
            bytes.drain(..4);
            bytes.truncate(length);
            return Some(Told { bytes, file });
        }
    }
}

/// `None`: the time is over.
fn wait(socket: &OwnedFd, until: Instant) -> Option<()> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&left)) {
            Ok(0) => return None,
            Ok(_) => return Some(()),
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
            .unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn an_answer_of_any_length_arrives_whole() {
        for length in [0, 1, PACKET_BYTES - 4, PACKET_BYTES, 1 << 20] {
            let (server, client) = pair();
            let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let mut sending = Sending::new(Told { bytes: bytes.clone(), file: None });
            let receiving = std::thread::spawn(move || receive(&client, soon()));
            while !sending.send(&server).unwrap() {
                std::thread::yield_now();
            }
            assert_eq!(receiving.join().unwrap().unwrap().bytes, bytes, "{length}");
        }
    }

    #[test]
    fn a_descriptor_comes_with_its_answer() {
        use std::io::Read;
        let (server, client) = pair();
        let mut kept = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(&mut kept, b"log").unwrap();
        let file = std::fs::File::open(kept.path()).unwrap().into();
        assert!(Sending::new(Told { bytes: b"{}".to_vec(), file: Some(file) }).send(&server).unwrap());
        let told = receive(&client, soon()).unwrap();
        let mut text = String::new();
        std::fs::File::from(told.file.unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!((told.bytes.as_slice(), text.as_str()), (&b"{}"[..], "log"));
    }

    #[test]
    fn a_cut_answer_is_none() {
        for sent in [&[][..], &[5, 0, 0], &[5, 0, 0, 0, b'a'], &[0xff, 0xff, 0xff, 0xff, b'a']] {
            let (server, client) = pair();
            rustix::net::send(&server, sent, SendFlags::NOSIGNAL).unwrap();
            drop(server);
            assert!(receive(&client, soon()).is_none(), "{sent:?}");
        }
    }
}
