//! The sending side of the worker's waker: a datagram to its socket (`worker::wake` listens).

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use crate::job::JobId;
use crate::place::Place;

const LOOK: u8 = b'w';
pub(crate) const YIELD: u8 = b'y';
/// Followed by the id of a job, in eight bytes.
pub(crate) const SERVE: u8 = b's';
/// Longest datagram, in bytes.
pub(crate) const DATAGRAM_BYTES_MAX: usize = 9;

/// Notifies the worker of this file, if there is one, of a write. Never fails: a lost hint costs
/// time, not jobs.
pub fn send(place: &Place) {
    post(place, LOOK);
}

/// Asks a `run` that holds the worker lock to release it.
pub fn ask_to_yield(place: &Place) {
    post(place, YIELD);
}

/// Asks a `run` that holds the worker lock to run this job in addition to its own. It does so for a
/// few seconds; ask again.
pub fn ask_to_serve(place: &Place, job: JobId) {
    let mut datagram = [SERVE; DATAGRAM_BYTES_MAX];
    datagram[1..].copy_from_slice(&job.0.to_le_bytes());
    post_bytes(place, &datagram);
}

fn post(place: &Place, byte: u8) {
    post_bytes(place, &[byte]);
}

fn post_bytes(place: &Place, datagram: &[u8]) {
    let Ok(socket) = UnixDatagram::unbound() else { return };
    if socket.set_nonblocking(true).is_err() {
        return;
    }
    let _worker_may_be_gone = send_to(&socket, &place.wake_socket(), datagram);
}

fn send_to(socket: &UnixDatagram, path: &Path, datagram: &[u8]) -> std::io::Result<usize> {
    match short(path)? {
        Some(short) => socket.send_to(datagram, short.path()),
        None => socket.send_to(datagram, path),
    }
}

/// A short name for a path that is too long for a socket's address: through a descriptor of its
/// directory.
pub(crate) struct Short {
    _directory: std::fs::File,
    path: PathBuf,
}

impl Short {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Longest path that the address of a socket holds, in bytes.
const SOCKET_PATH_BYTES_MAX: usize = 107;

pub(crate) fn short(path: &Path) -> std::io::Result<Option<Short>> {
    use std::os::fd::AsRawFd;
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return Ok(None);
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    let directory = std::fs::File::open(parent)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    Ok(Some(Short { _directory: directory, path }))
}
