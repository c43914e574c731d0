//! Who is at the other end of a local socket, as the kernel recorded it when that process
//! connected: the only identity of a client that is believed.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Maximum number of groups of a process; the kernel's own limit.
const GROUPS_MAX: usize = 65_536;

/// The process at the other end, as it was when it connected; of a listening socket, as it was when
/// it began to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
    pub gid: u32,
    /// Its supplementary groups.
    pub groups: Vec<u32>,
}

impl Peer {
    /// Asks the kernel.
    ///
    /// # Errors
    /// The socket has no other end that is known.
    pub fn of(socket: impl AsFd) -> io::Result<Self> {
        let socket = socket.as_fd();
        let mut who = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
        // SAFETY: the kernel writes at most the given length into a plain struct that lives.
        let written = unsafe { get(socket, libc::SO_PEERCRED, (&raw mut who).cast(), mem::size_of_val(&who)) }?;
        if written != mem::size_of_val(&who) || who.uid == u32::MAX {
            return Err(io::ErrorKind::NotConnected.into());
        }
        Ok(Self { uid: who.uid, gid: who.gid, groups: groups_of(socket)? })
    }

    /// Whether it is a member of a group.
    pub fn is_in(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

fn groups_of(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut room = 64;
    loop {
        let mut groups = vec![0_u32; room];
        // SAFETY: the kernel writes at most the given length, that of the list, which lives.
        let written = unsafe { get(socket, libc::SO_PEERGROUPS, groups.as_mut_ptr().cast(), room * mem::size_of::<u32>()) };
        match written {
            Ok(bytes) => {
                groups.truncate(bytes / mem::size_of::<u32>());
                return Ok(groups);
            }
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) && room < GROUPS_MAX => room = GROUPS_MAX,
            Err(error) => return Err(error),
        }
    }
}

/// Returns how many bytes the kernel wrote.
///
/// # Safety
/// `value` has room for `length` bytes, and any bytes are a value of its type.
unsafe fn get(socket: BorrowedFd<'_>, option: i32, value: *mut libc::c_void, length: usize) -> io::Result<usize> {
    let mut length = libc::socklen_t::try_from(length).unwrap_or(0);
    // SAFETY: as the caller promises; the length lives until the call returns.
    let done = unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value, &raw mut length) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(length as usize) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_of_a_pair_is_this_process() {
        let (a, _b) = std::os::unix::net::UnixStream::pair().unwrap();
        let peer = Peer::of(&a).unwrap();
        assert_eq!((peer.uid, peer.gid), (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()));
        assert!(peer.is_in(peer.gid) && !peer.is_in(u32::MAX));
        let mut ours: Vec<u32> = rustix::process::getgroups().unwrap().iter().map(|gid| gid.as_raw()).collect();
        let mut theirs = peer.groups;
        ours.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(theirs, ours);
    }

    #[test]
    fn a_socket_without_another_end_has_no_peer() {
        let (a, b) = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|l| Ok((std::net::TcpStream::connect(l.local_addr()?)?, l)))
            .unwrap();
        assert!(Peer::of(&a).is_err());
        drop(b);
    }
}
