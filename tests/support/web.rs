//! A web server of a nest, and a client that sends what it is told, byte for byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::support::{Nest, PATIENCE, Signal, Worker, kill, until};

impl Nest {
    /// Starts `tenure web` at a port that the system chooses. The file must exist.
    pub fn web(&self, args: &[&str]) -> Web {
        self.web_at("127.0.0.1:0", args)
    }

    /// The same at an address.
    pub fn web_at(&self, address: &str, args: &[&str]) -> Web {
        let mut all = vec!["web", address, "--json"];
        all.extend(args);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.file("web.log")).expect("a log");
        let mut child = self.tenure(&all).stdout(Stdio::piped()).stderr(log).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let said = std::fs::read_to_string(self.file("web.log")).unwrap_or_default();
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("no address ({e}): {line:?}; {said}"));
        let address = told["address"].as_str().expect("an address").to_owned();
        let token = if address.starts_with("unix:") { None } else { Some(self.ok(&["web", "token"])) };
        Web { child: Some(child), at: At { address, token } }
    }

    /// The server inside a worker, which was started with `--web 127.0.0.1:0`.
    pub fn web_of(&self, worker: &Worker) -> Web {
        let address = until("the worker to tell the address of its web server", || {
            let said = worker.said();
            let at = said.find("http://127.0.0.1:")?;
            let address: String = said[at..].chars().take_while(|c| !c.is_whitespace() && *c != ';').collect();
            Some(address)
        });
        Web { child: None, at: At { address, token: Some(self.ok(&["web", "token"])) } }
    }
}

/// A web server that is killed when the test is over.
pub struct Web {
    child: Option<Child>,
    pub at: At,
}

/// Where a server is, and its token.
#[derive(Clone)]
pub struct At {
    pub address: String,
    pub token: Option<String>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Got {
    pub status: u16,
    /// In lower case, and as it was sent.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}): {} {}", self.status, self.text()))
    }

    /// The code of its error.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or("none").to_owned()
    }
}

/// A connection of either kind.
pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

impl At {
    /// Connects. What is not answered in time fails the test.
    pub fn connect(&self) -> Box<dyn Stream> {
        if let Some(path) = self.address.strip_prefix("unix:") {
            let stream = UnixStream::connect(path).expect("it listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            return Box::new(stream);
        }
        Box::new(self.tcp())
    }

    pub fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.host()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    /// The host of its address, with the port.
    pub fn host(&self) -> &str {
        let rest = self.address.strip_prefix("http://").unwrap_or("localhost");
        rest.split('/').next().unwrap_or(rest)
    }

    /// The head of a request, with the token, a `Host` and these headers.
    pub fn head(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> String {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head += &format!("Host: {}\r\n", self.host());
        }
        if let Some(token) =
            self.token.as_ref().filter(|_| !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")))
        {
            head += &format!("Authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            head += &format!("{name}: {value}\r\n");
        }
        head
    }

    pub fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Got {
        let mut head = self.head(method, target, headers);
        if !body.is_empty() || method == "POST" {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        head += "Connection: close\r\n\r\n";
        self.send(&[head.as_bytes(), body].concat())
    }

    pub fn get(&self, target: &str) -> Got {
        self.ask("GET", target, &[], b"")
    }

    pub fn post(&self, target: &str, body: &Value) -> Got {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.ask("POST", target, &[("Content-Type", "application/json")], body.as_bytes())
    }

    /// Sends bytes and reads one answer.
    pub fn send(&self, bytes: &[u8]) -> Got {
        let mut stream = self.connect();
        // A server that has seen enough closes before it has read all.
        let _cut = stream.write_all(bytes);
        receive(&mut BufReader::new(stream)).expect("an answer")
    }
}

/// Reads one answer; `None`: the connection was closed before it.
pub fn receive(from: &mut dyn BufRead) -> Option<Got> {
    let (status, headers) = receive_head(from)?;
    let value = |name: &str| headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.clone());
    let mut body = Vec::new();
    if value("transfer-encoding").is_some_and(|value| value == "chunked") {
        while let Some(chunk) = receive_chunk(from) {
            body.extend(chunk);
        }
    } else if let Some(length) = value("content-length") {
        from.take(length.parse().expect("a length")).read_to_end(&mut body).expect("a body");
    }
    Some(Got { status, headers, body })
}

/// Reads the head of an answer.
pub fn receive_head(from: &mut dyn BufRead) -> Option<(u16, Vec<(String, String)>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let status = lines.first()?.split(' ').nth(1)?.parse().ok()?;
    let header = |line: &String| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    Some((status, lines[1..].iter().filter_map(header).collect()))
}

/// Reads a chunk of a body; `None`: it was the last one, or the connection was closed.
pub fn receive_chunk(from: &mut dyn BufRead) -> Option<Vec<u8>> {
    let mut line = String::new();
    from.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let length = usize::from_str_radix(line.trim(), 16).ok()?;
    let mut bytes = vec![0; length + 2];
    from.read_exact(&mut bytes).ok()?;
    bytes.truncate(length);
    (length > 0).then_some(bytes)
}

impl Web {
    pub fn pid(&self) -> i32 {
        self.child.as_ref().map_or(0, |child| child.id().try_into().expect("a pid"))
    }

    /// TERM, and waits for its end.
    pub fn stop(mut self) -> i32 {
        kill(self.pid(), Signal::TERM);
        self.child.take().map_or(-1, |mut child| child.wait().expect("it ends").code().unwrap_or(-1))
    }

    /// Whether it still runs.
    pub fn lives(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().expect("a child").is_none())
    }
}

impl std::ops::Deref for Web {
    type Target = At;

    fn deref(&self) -> &At {
        &self.at
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _gone_already = child.kill();
            let _reaped_already = child.wait();
        }
    }
}
