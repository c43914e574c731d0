//! `tenure web`: the API and the metrics of a file over HTTP, in a process of its own.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::worker_options;
use crate::error::{Error, Result, exit};
use crate::store::Role;
use crate::units;
use crate::web::{self, Address, Bound, Patience, Rules, Setup, SocketFile};

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where to listen: 127.0.0.1:8080 or unix:PATH; or token
    ///
    /// A port of 0 is chosen by the system. token prints the token of the file, and creates it if
    /// there is none.
    #[arg(value_name = "ADDR|token")]
    pub target: Target,
    #[command(flatten)]
    pub how: How,
    /// Let other machines reach it
    ///
    /// Without it, an address of another network than this machine's own is refused. The token
    /// crosses the network unencrypted: put a reverse proxy with TLS in front.
    #[arg(long)]
    pub remote: bool,
}

/// How it serves.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct How {
    /// Answer to this name too; may be given several times
    ///
    /// Addresses and localhost are always answered. A request that names another host is refused.
    #[arg(long = "host", value_name = "NAME", value_parser = parse_host)]
    pub hosts: Vec<String>,
    /// Serve under this path, such as /tenure
    #[arg(long, value_name = "PATH", value_parser = parse_base)]
    pub base: Option<String>,
    /// Wait so long for a client. For tests: what it does is right with any time
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration, hide = true)]
    pub patience: Option<u64>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Token,
    At(Address),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "token" { Ok(Self::Token) } else { text.parse().map(Self::At) }
    }
}

fn parse_host(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err(format!("{:?} is not a name; write queue.example.com, without a port", units::shorten(text))),
    }
}

fn parse_base(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    let base = text.trim_end_matches('/');
    match base.starts_with('/') && base.chars().all(is_plain) && !base.contains("//") && !base.contains("..") {
        true => Ok(base.to_owned()),
        false if text == "/" => Ok(String::new()),
        false => Err(format!("{:?} is not a path; write /tenure", units::shorten(text))),
    }
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let Target::At(address) = &args.target else { return print_token(face) };
    if address.is_remote() && !args.remote {
        return Err(Error::Invalid(format!(
            "{address}: other machines can reach this address; add --remote, or use 127.0.0.1 with a reverse proxy in front"
        )));
    }
    // Before it listens: a signal that comes at once must not leave its socket behind.
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(|e| Error::io("installing signal handlers", e))?;
    let db = face.reader()?.place().db().to_owned();
    let bound = web::listen(address)?;
    let (at, file) = (bound.at.clone(), bound.file.clone());
    bound.serve(&db, setup(face, address, &args.how)?)?;
    let base = args.how.base.as_deref().unwrap_or("");
    if face.json {
        face.document(json!({"address": format!("{at}{base}")}))?;
    } else {
        let token = if matches!(at, Address::Tcp(_)) { "; tenure web token prints the token that it asks for" } else { "" };
        face::say(&format!("{} is at {at}{base}{token}", db.display()));
    }
    let _ended_by = signals.forever().next();
    file.iter().for_each(SocketFile::remove);
    Ok(exit::OK)
}

/// Listens for a worker.
///
/// # Errors
/// The address is in use, or other machines can reach it.
pub fn bind(address: &Address) -> Result<Bound> {
    match address.is_remote() {
        true => Err(Error::Invalid(format!(
            "--web {address}: other machines can reach this address; use 127.0.0.1, or tenure web {} --remote beside the worker",
            address.to_string().trim_start_matches("http://")
        ))),
        false => web::listen(address),
    }
}

/// Removes the socket of a server when its worker has ended, however that ends.
pub struct Gone(pub SocketFile);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.remove();
    }
}

/// Serves the file of a worker that has started. What fails is only told: jobs come first.
pub fn serve_beside(face: &Face, bound: Bound, db: &Path) {
    let at = bound.at.clone();
    match setup(face, &at, &How::default()).and_then(|setup| bound.serve(db, setup)) {
        Ok(()) => face::say(&format!("{} is at {at}", db.display())),
        Err(error) => log::error!("there is no web server at {at}: {error}"),
    }
}

/// Returns how the file is served.
///
/// # Errors
/// The token cannot be read or created.
fn setup(face: &Face, address: &Address, how: &How) -> Result<Setup> {
    let token = match address {
        Address::Unix(_) => None,
        Address::Tcp(_) => Some(web::token(face.reader()?.place())?),
    };
    Ok(Setup {
        options: face.options(Role::Reader),
        floors: worker_options::floors(&face.settings),
        workspaces_bytes_max: face.settings.workspace_max_size_bytes.value,
        rules: Rules { names: how.hosts.clone(), token },
        base: how.base.clone().unwrap_or_default(),
        patience: how.patience.map_or_else(Patience::default, |ms| Patience::of(Duration::from_millis(ms))),
    })
}

fn print_token(face: &Face) -> Result<u8> {
    let token = web::token(face.reader()?.place())?;
    match face.json {
        true => face.document(json!({"token": token.reveal()}))?,
        false => face::print(&format!("{}\n", token.reveal()))?,
    }
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_without_a_port() {
        assert_eq!(parse_host("queue.example.com").as_deref(), Ok("queue.example.com"));
        for text in ["", "*", "a:80", "a b", "http://a", "[::1]", "\u{e4}.example"] {
            assert!(parse_host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_base_is_a_path_without_its_last_slash() {
        for (text, base) in [("/tenure", "/tenure"), ("/a/b/", "/a/b"), ("/", "")] {
            assert_eq!(parse_base(text).as_deref(), Ok(base));
        }
        for text in ["", "tenure", "/a b", "/a//b", "/../x", "/%2e", "/a?b"] {
            assert!(parse_base(text).is_err(), "{text}");
        }
    }
}
