//! Where the server listens.

use std::fmt;
use std::io::ErrorKind;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::error::{Error, Result};
use crate::units::shorten;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 128;

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err("unix: lacks its path; write unix:/run/user/1000/tenure.sock".into())
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        // `localhost` is looked up in /etc/hosts; any other name would be a lookup on the network.
        let numeric = text.parse().ok();
        let local =
            || text.strip_prefix("localhost:").and_then(|_| text.to_socket_addrs().ok()?.find(|one| one.ip().is_loopback()));
        let short = || text.parse::<u16>().ok().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let found: Option<SocketAddr> = numeric.or_else(local).or_else(short);
        found.map(Self::Tcp).ok_or_else(|| {
            format!("{:?} is not an address; write 127.0.0.1:8080, [::1]:8080, localhost:8080 or unix:PATH", shorten(text))
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The file of a socket, as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// The number of an inode is given again: in seconds and nanoseconds.
    changed_at: (i64, i64),
}

impl SocketFile {
    fn of(path: &Path) -> std::io::Result<Self> {
        let meta = std::fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: meta.dev(), inode: meta.ino(), changed_at: (meta.ctime(), meta.ctime_nsec()) })
    }

    /// Removes it, unless another server has put its own in its place.
    pub fn remove(&self) {
        if Self::of(&self.path).is_ok_and(|now| now == *self) {
            let _removed_meanwhile = std::fs::remove_file(&self.path);
        }
    }
}

/// A socket that listens.
pub enum Listening {
    Tcp(std::net::TcpListener),
    Unix(UnixListener),
}

impl Address {
    /// Returns the file of its socket, if it is one.
    pub fn file(&self) -> Option<SocketFile> {
        match self {
            Self::Unix(path) => SocketFile::of(path).ok(),
            Self::Tcp(_) => None,
        }
    }

    /// Whether other machines can reach it.
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::Tcp(address) if !address.ip().is_loopback())
    }

    /// Listens, and returns where: the port may have been chosen by the kernel.
    ///
    /// # Errors
    /// The address is in use or cannot be used.
    pub fn listen(&self) -> Result<(Listening, Self)> {
        let doing = |e: std::io::Error| match e.kind() {
            ErrorKind::AddrInUse => Error::Held(format!("{self}: another program listens there; end it, or name another port")),
            _ => Error::io(format!("listening at {self}"), e),
        };
        match self {
            Self::Tcp(address) => {
                let socket = std::net::TcpListener::bind(address).map_err(doing)?;
                socket.set_nonblocking(true).map_err(doing)?;
                let at = socket.local_addr().map_err(doing)?;
                Ok((Listening::Tcp(socket), Self::Tcp(at)))
            }
            Self::Unix(path) => {
                make_room(path)?;
                let socket = bind_private(path).map_err(doing)?;
                socket.set_nonblocking(true).map_err(doing)?;
                Ok((Listening::Unix(socket), self.clone()))
            }
        }
    }
}

/// Removes the socket of a server that has ended.
fn make_room(path: &Path) -> Result<()> {
    let is_socket = match std::fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(meta) => meta.file_type().is_socket(),
    };
    if !is_socket {
        return Err(Error::Invalid(format!("unix:{}: there is a file that is not a socket; name another path", path.display())));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(Error::Held(format!("unix:{}: another program listens there; end it, or name another path", path.display())));
    }
    std::fs::remove_file(path).map_err(|e| Error::io(format!("removing the old socket {}", path.display()), e))
}

/// Makes a socket that only this user can connect to: it has its mode before it listens.
fn bind_private(path: &Path) -> std::io::Result<UnixListener> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::fs::chmod(path, Mode::RUSR | Mode::WUSR)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_numbers_localhost_or_a_socket() {
        for (text, shown) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("8080", "http://127.0.0.1:8080"),
            ("[::1]:0", "http://[::1]:0"),
            ("unix:/run/x.sock", "unix:/run/x.sock"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        for text in ["", "unix:", "example.com:80", "127.0.0.1", "127.0.0.1:99999", "\x1b[2J:1"] {
            assert!(text.parse::<Address>().is_err_and(|why| !why.contains('\x1b')), "{text:?}");
        }
        assert!("0.0.0.0:1".parse::<Address>().unwrap().is_remote() && !"[::1]:1".parse::<Address>().unwrap().is_remote());
    }

    #[test]
    fn a_socket_is_private_and_taken_over_from_an_ended_server() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let at = Address::Unix(dir.path().join("x.sock"));
        let (first, _) = at.listen().unwrap();
        assert_eq!(std::fs::metadata(dir.path().join("x.sock")).unwrap().mode() & 0o777, 0o600);
        assert!(matches!(at.listen(), Err(Error::Held(_))));
        let file = at.file().unwrap();
        drop(first);
        drop(at.listen().unwrap());
        file.remove();
        assert!(at.file().is_some_and(|now| now != file), "it is another server's now");
        std::fs::write(dir.path().join("file"), "mine").unwrap();
        assert!(matches!(Address::Unix(dir.path().join("file")).listen(), Err(Error::Invalid(_))));
    }
}
