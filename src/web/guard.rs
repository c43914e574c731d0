//! Who may ask what. Pure: a decision from what a request says of itself.
//!
//! * `Host` must be an address, `localhost`, or a name that the operator gave: a site that lets its
//!   name resolve to this machine (DNS rebinding) sends its own name.
//! * `Origin`, where a browser sends one, must be this very server: no other site's script reads or
//!   changes anything. There are no CORS headers.
//! * On an address, everything but `/healthz` needs the token, or the session of a browser that has
//!   logged in with it. A change by a session needs a sign that a page of this server asks for it.
//! * On a Unix socket the file permissions decide, and there is no token.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::web::problem::Problem;

/// What a request says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Claims<'a> {
    /// Its method changes nothing.
    pub is_read: bool,
    /// It is about this process alone.
    pub is_open: bool,
    /// Every host that it names: of its `Host` headers and of its target.
    pub hosts: &'a [&'a str],
    pub origin: Option<&'a str>,
    /// `Sec-Fetch-Site`.
    pub fetch_site: Option<&'a str>,
    /// The token of its `Authorization`.
    pub token: Option<&'a str>,
    /// It has the cookie of a session that is valid.
    pub has_session: bool,
}

/// What the operator allows.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Names that the server goes by, in addition to addresses and `localhost`.
    pub names: Vec<String>,
    /// `None`: no token is needed.
    pub token: Option<Token>,
}

/// A secret that is compared in a time that does not depend on it, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, to print it for its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it is the same text.
    pub fn is(&self, text: &str) -> bool {
        let (a, b) = (self.0.as_bytes(), text.as_bytes());
        let differs = a.iter().enumerate().fold(0, |differs, (at, byte)| differs | (byte ^ b.get(at).copied().unwrap_or(0)));
        std::hint::black_box(differs) == 0 && a.len() == b.len()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Decides whether a request is answered.
///
/// # Errors
/// Why it is not.
pub fn judge(rules: &Rules, claims: &Claims<'_>) -> Result<(), Problem> {
    let Some(host) = claims.hosts.first() else {
        return Err(Problem::usage("the request names no host; send a Host header"));
    };
    if !claims.hosts.iter().all(|host| is_ours(host, &rules.names)) {
        return Err(Problem::new(421, "host", "this server does not go by the name in the Host header")
            .with_remedy("use its address, or start it with --host NAME"));
    }
    if claims.origin.is_some_and(|origin| !is_same(origin, host)) {
        return Err(Problem::new(403, "origin", "a page of another site may not ask this server"));
    }
    if !claims.is_read && claims.fetch_site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(Problem::new(403, "origin", "a page of another site may not ask this server"));
    }
    let Some(token) = rules.token.as_ref().filter(|_| !claims.is_open) else { return Ok(()) };
    if claims.token.is_some_and(|text| token.is(text)) {
        return Ok(());
    }
    let is_from_page = claims.origin.is_some() || claims.fetch_site == Some("same-origin");
    match claims.token {
        None if claims.has_session && (claims.is_read || is_from_page) => Ok(()),
        None if claims.has_session => {
            Err(Problem::new(403, "origin", "a change by a session must come from a page of this server"))
        }
        _ => Err(Problem::new(401, "token", "the token of this server is missing or wrong").with_remedy(
            "send Authorization: Bearer TOKEN; tenure web token prints it (a server that was started before it was replaced \
                 has the old one: start it again)",
        )),
    }
}

/// Whether the server goes by this name, which may have a port.
fn is_ours(host: &str, names: &[String]) -> bool {
    let name = without_port(host);
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            name.parse::<Ipv4Addr>().is_ok()
                || name.eq_ignore_ascii_case("localhost")
                || names.iter().any(|own| own.eq_ignore_ascii_case(name))
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

/// Whether an origin is the server that the request was sent to.
fn is_same(origin: &str, host: &str) -> bool {
    let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules { names: vec!["queue.example".into()], token: Some(Token::new("0123abcd".into())) }
    }

    fn status(claims: &Claims<'_>) -> u16 {
        judge(&rules(), claims).map_or_else(|problem| problem.status, |()| 200)
    }

    fn claims<'a>() -> Claims<'a> {
        Claims { is_read: true, hosts: &["127.0.0.1:8080"], token: Some("0123abcd"), ..Claims::default() }
    }

    #[test]
    fn a_host_is_an_address_or_a_name_that_was_given() {
        for host in
            ["127.0.0.1", "127.0.0.1:1", "10.0.0.7:80", "localhost:8080", "LOCALHOST", "[::1]:80", "[::1]", "Queue.Example:443"]
        {
            assert_eq!(status(&Claims { hosts: &[host], ..claims() }), 200, "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "",
            ":80",
            "[evil]",
            "::1",
            "127.0.0.1:80:80",
            "a@localhost",
        ] {
            assert_eq!(status(&Claims { hosts: &[host], ..claims() }), 421, "{host}");
        }
        assert_eq!(status(&Claims { hosts: &[], ..claims() }), 400);
        assert_eq!(status(&Claims { hosts: &["localhost", "evil.example"], ..claims() }), 421);
    }

    #[test]
    fn a_page_of_another_site_reads_and_changes_nothing() {
        for origin in
            ["http://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:8081", "ftp://127.0.0.1:8080", "127.0.0.1:8080"]
        {
            assert_eq!(status(&Claims { origin: Some(origin), ..claims() }), 403, "{origin}");
        }
        for origin in ["http://127.0.0.1:8080", "https://127.0.0.1:8080"] {
            assert_eq!(status(&Claims { origin: Some(origin), ..claims() }), 200, "{origin}");
        }
        assert_eq!(status(&Claims { is_read: false, fetch_site: Some("cross-site"), ..claims() }), 403);
        assert_eq!(status(&Claims { is_read: false, fetch_site: Some("same-site"), ..claims() }), 403);
    }

    #[test]
    fn a_token_is_needed_and_must_be_right() {
        for wrong in ["", "0123abc", "0123abcde", "0123abcD", "\0\0\0\0\0\0\0\0"] {
            assert_eq!(status(&Claims { token: Some(wrong), ..claims() }), 401, "{wrong:?}");
            assert_eq!(status(&Claims { token: Some(wrong), has_session: true, ..claims() }), 401, "{wrong:?}");
        }
        assert_eq!(status(&Claims { token: None, ..claims() }), 401);
        assert_eq!(status(&Claims { token: None, is_open: true, ..claims() }), 200);
        let socket = Rules::default();
        assert!(judge(&socket, &Claims { token: None, ..claims() }).is_ok());
        assert!(judge(&socket, &Claims { hosts: &["evil.example"], ..claims() }).is_err());
        assert!(!format!("{:?}", rules()).contains("0123"));
    }

    #[test]
    fn a_session_changes_things_from_a_page_of_this_server_alone() {
        let session = Claims { token: None, has_session: true, ..claims() };
        assert_eq!(status(&session), 200);
        assert_eq!(status(&Claims { is_read: false, ..session }), 403);
        assert_eq!(status(&Claims { is_read: false, origin: Some("http://127.0.0.1:8080"), ..session }), 200);
        assert_eq!(status(&Claims { is_read: false, fetch_site: Some("same-origin"), ..session }), 200);
        assert_eq!(status(&Claims { is_read: false, origin: Some("http://evil.example"), ..session }), 403);
    }
}
