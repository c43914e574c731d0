//! One launch is one packet: a mark and the spec, with the descriptors of the lock and of the
//! status pipe. A spec that is too long for a packet is passed as a third descriptor, a sealed
//! memfd.

use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::cmsg_space;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recv, recvmsg, send, sendmsg,
};

use crate::run::protocol::READY_AGAIN;

/// Longest spec inside a packet, in bytes. A socket with default buffers takes twice as much.
pub const INLINE_BYTES_MAX: usize = 60 << 10;
/// Longest spec, in bytes: argv and environment as the kernel accepts them, and room for their
/// lengths.
pub const LAUNCH_BYTES_MAX: usize = 16 << 20;
/// How long to wait for a full socket, in milliseconds.
const SEND_WAIT_MS_MAX: u64 = 10_000;
/// Wait after the kernel has reported too many descriptors in flight, in milliseconds.
const SEND_RETRY_MS: u64 = 5;

const MARK_INLINE: &[u8] = b"I";
const MARK_MEMFD: &[u8] = b"M";

/// The spec of a launch as it arrived, before decoding.
pub enum Spec {
    Inline(Vec<u8>),
    Memfd(OwnedFd),
}

impl Spec {
    /// The bytes.
    ///
    /// # Errors
    /// The memfd cannot be read, or is too long.
    pub fn into_bytes(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Inline(bytes) => Ok(bytes),
            Self::Memfd(fd) => {
                let mut file = std::fs::File::from(fd);
                file.rewind()?;
                let mut bytes = Vec::new();
                file.take(LAUNCH_BYTES_MAX as u64).read_to_end(&mut bytes)?;
                Ok(bytes)
            }
        }
    }
}

/// A launch that arrived.
pub struct Arrived {
    pub spec: Spec,
    pub lock: OwnedFd,
    pub status: OwnedFd,
}

/// First byte of the message that a launch could not be accepted; the errno follows.
const MARK_COMPLAINT: u8 = b'E';

/// Tells the worker, or a shim its spawner, that a launch could not be accepted. If no worker
/// receives it, the run counts as never started, which is true.
pub fn complain(control: BorrowedFd<'_>, errno: Errno) {
    let [a, b, c, d] = errno.raw_os_error().to_ne_bytes();
    let _ = send(control, &[MARK_COMPLAINT, a, b, c, d], SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
}

/// Returns the next complaint of the spawner, one at a time.
pub fn take_complaint(control: BorrowedFd<'_>) -> Option<Errno> {
    let mut buffer = [0; 5];
    match recv(control, &mut buffer, RecvFlags::DONTWAIT) {
        Ok((_, 5)) if buffer[0] == MARK_COMPLAINT => {
            let [_, a, b, c, d] = buffer;
            Some(Errno::from_raw_os_error(i32::from_ne_bytes([a, b, c, d])))
        }
        _ => None,
    }
}

/// What a shim has sent to its spawner.
pub enum Said {
    /// Nothing is left of its run, and it can serve the next one.
    Ready,
    /// It could not receive the launch that it was given: nothing was started.
    NotTaken(Errno),
    Nothing,
    Closed,
}

/// Reads the next message of a shim, without waiting.
pub fn hear_shim(shim: BorrowedFd<'_>) -> Said {
    let mut buffer = [0; 5];
    match recv(shim, &mut buffer, RecvFlags::DONTWAIT) {
        Ok((_, n)) if &buffer[..n.min(5)] == READY_AGAIN => Said::Ready,
        Ok((_, 5)) if buffer[0] == MARK_COMPLAINT => {
            let [_, a, b, c, d] = buffer;
            Said::NotTaken(Errno::from_raw_os_error(i32::from_ne_bytes([a, b, c, d])))
        }
        Err(Errno::AGAIN | Errno::INTR) => Said::Nothing,
        Ok(_) | Err(_) => Said::Closed,
    }
}

/// What was in the socket.
pub enum Received {
    Launch(Arrived),
    /// An incomplete packet. Its descriptors are closed: that run never started.
    Broken,
    /// There was no descriptor or memory for what came with the packet: that run never started
    /// either.
    NoMeans(Errno),
    NothingYet,
    /// The worker is gone, and everything that it sent has been read.
    Ended,
}

/// Sends a launch.
///
/// # Errors
/// It was not sent. `BrokenPipe`: there is no receiver.
pub fn send_launch(control: BorrowedFd<'_>, spec: &[u8], lock: BorrowedFd<'_>, status: BorrowedFd<'_>) -> io::Result<()> {
    let patience = Duration::from_millis(SEND_WAIT_MS_MAX);
    if spec.len() <= INLINE_BYTES_MAX {
        return send_packet(control, &[IoSlice::new(MARK_INLINE), IoSlice::new(spec)], &[lock, status], patience);
    }
    if spec.len() > LAUNCH_BYTES_MAX {
        return Err(io::ErrorKind::ArgumentListTooLong.into());
    }
    let memfd = memfd_create("tenure-spec", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = std::fs::File::from(memfd);
    file.write_all(spec)?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    send_packet(control, &[IoSlice::new(MARK_MEMFD)], &[lock, status, file.as_fd()], patience)
}

/// Passes a launch with a short spec on to a shim that waits for one, without waiting.
///
/// # Errors
/// It was not sent.
pub fn forward(shim: BorrowedFd<'_>, spec: &[u8], lock: BorrowedFd<'_>, status: BorrowedFd<'_>) -> io::Result<()> {
    send_packet(shim, &[IoSlice::new(MARK_INLINE), IoSlice::new(spec)], &[lock, status], Duration::ZERO)
}

fn send_packet(control: BorrowedFd<'_>, parts: &[IoSlice<'_>], fds: &[BorrowedFd<'_>], patience: Duration) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(3))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        rights.push(SendAncillaryMessage::ScmRights(fds));
        let error = match sendmsg(control, parts, &mut rights, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => continue,
            Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => return Err(io::ErrorKind::BrokenPipe.into()),
            Err(error) => error,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        match error {
            Errno::AGAIN if !left.is_zero() => wait_for_room(control, left)?,
            // The kernel does not signal when it has room for these again.
            Errno::TOOMANYREFS | Errno::NOBUFS if !left.is_zero() => thread::sleep(Duration::from_millis(SEND_RETRY_MS)),
            _ => return Err(error.into()),
        }
    }
}

fn wait_for_room(control: BorrowedFd<'_>, left: Duration) -> io::Result<()> {
    let timeout = Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(left.subsec_nanos()) };
    match poll(&mut [PollFd::from_borrowed_fd(control, PollFlags::OUT)], Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Receives a launch, without waiting. `buffer` has room for [`INLINE_BYTES_MAX`] and a mark.
///
/// # Errors
/// The socket is broken.
pub fn receive(control: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(3))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let message = match recvmsg(control, &mut [IoSliceMut::new(buffer)], &mut rights, flags) {
        Ok(message) => message,
        Err(Errno::AGAIN | Errno::INTR) => return Ok(Received::NothingYet),
        Err(Errno::CONNRESET) => return Ok(Received::Ended),
        // The packet stays where it is.
        Err(Errno::NOMEM | Errno::NOBUFS) => return Ok(Received::NothingYet),
        Err(error) => return Err(error.into()),
    };
    let mut fds = Vec::new();
    for part in rights.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            fds.extend(rights);
        }
    }
    if message.bytes == 0 && fds.is_empty() {
        return Ok(Received::Ended);
    }
    if message.flags.contains(ReturnFlags::TRUNC) {
        return Ok(Received::Broken);
    }
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Ok(Received::NoMeans(Errno::MFILE));
    }
    Ok(open_packet(&buffer[..message.bytes], fds).map_or(Received::Broken, Received::Launch))
}

fn open_packet(bytes: &[u8], fds: Vec<OwnedFd>) -> Option<Arrived> {
    let mut fds = fds.into_iter();
    let (lock, status, memfd) = (fds.next()?, fds.next()?, fds.next());
    let (mark, rest) = bytes.split_at_checked(1)?;
    let spec = match (mark, memfd) {
        (MARK_INLINE, None) => Spec::Inline(rest.to_vec()),
        (MARK_MEMFD, Some(memfd)) => Spec::Memfd(memfd),
        _ => return None,
    };
    Some(Arrived { spec, lock, status })
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    /// Waits until the other end is closed: a child that another test has forked has a copy of it
    /// until it executes its program.
    fn until_the_other_end_is_closed(end: &OwnedFd) {
        let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
        let heard = poll(&mut [PollFd::new(end, PollFlags::empty())], Some(&limit)).unwrap();
        assert_eq!(heard, 1, "the other end is still open");
    }

    #[test]
    fn specs_of_any_length_arrive_whole() {
        let (ours, theirs) = pair();
        let mut buffer = vec![0; INLINE_BYTES_MAX + 1];
        for length in [0, 1, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, 2_000_000] {
            let spec = vec![7; length];
            send_launch(ours.as_fd(), &spec, ours.as_fd(), ours.as_fd()).unwrap();
            let Received::Launch(arrived) = receive(theirs.as_fd(), &mut buffer).unwrap() else {
                panic!("{length}: not a launch");
            };
            assert!(arrived.spec.into_bytes().unwrap() == spec, "{length}");
        }
        assert!(matches!(receive(theirs.as_fd(), &mut buffer).unwrap(), Received::NothingYet));
        drop(ours);
        until_the_other_end_is_closed(&theirs);
        assert!(matches!(receive(theirs.as_fd(), &mut buffer).unwrap(), Received::Ended));
    }

    #[test]
    fn what_is_not_a_launch_is_broken_and_nothing_more() {
        let (ours, theirs) = pair();
        let mut buffer = vec![0; INLINE_BYTES_MAX + 1];
        for (mark, count) in [(b"I", 1), (b"I", 3), (b"M", 2), (b"X", 2), (b"I", 0)] {
            send_packet(ours.as_fd(), &[IoSlice::new(mark)], &vec![ours.as_fd(); count], Duration::ZERO).unwrap();
            assert!(matches!(receive(theirs.as_fd(), &mut buffer).unwrap(), Received::Broken), "{mark:?} {count}");
        }
        send_packet(ours.as_fd(), &[IoSlice::new(&vec![b'I'; INLINE_BYTES_MAX + 2])], &[ours.as_fd(); 2], Duration::ZERO)
            .unwrap();
        assert!(matches!(receive(theirs.as_fd(), &mut buffer).unwrap(), Received::Broken));
    }

    #[test]
    fn a_complaint_is_taken_once() {
        let (ours, theirs) = pair();
        assert_eq!(take_complaint(ours.as_fd()), None);
        complain(theirs.as_fd(), Errno::MFILE);
        complain(theirs.as_fd(), Errno::NFILE);
        let taken: Vec<_> = std::iter::from_fn(|| take_complaint(ours.as_fd())).collect();
        assert_eq!(taken, [Errno::MFILE, Errno::NFILE]);
    }

    #[test]
    fn without_a_receiver_nothing_is_sent() {
        let (ours, theirs) = pair();
        drop(theirs);
        until_the_other_end_is_closed(&ours);
        let error = send_launch(ours.as_fd(), b"x", ours.as_fd(), ours.as_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
