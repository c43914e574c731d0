//! A server of the Model Context Protocol of a nest, and a client that sends what it is told, line for line.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};

use serde_json::{Value, json};

use crate::support::{Nest, PATIENCE, kill_child};

/// Lines that are read before the test asks for them.
const UNREAD_MAX: usize = 16;

impl Nest {
    /// Starts `tenure mcp`, and greets it.
    pub fn mcp(&self, args: &[&str]) -> Mcp {
        let mut mcp = self.mcp_silent(args);
        let told = mcp.ask("initialize", &hello("2025-06-18"));
        assert_eq!(told["result"]["serverInfo"]["name"], "tenure", "{told}");
        mcp.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        mcp.instructions = told["result"]["instructions"].as_str().expect("instructions").to_owned();
        mcp
    }

    /// Starts `tenure mcp` alone.
    pub fn mcp_silent(&self, args: &[&str]) -> Mcp {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.file("mcp.log")).expect("a log");
        let mut command = self.tenure(&[&["mcp"][..], args].concat());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().expect("it starts");
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
        let (to, lines) = sync_channel(UNREAD_MAX);
        // A pipe has no timeout, and a test has one.
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                if to.send(line).is_err() {
                    return;
                }
            }
        });
        Mcp { child, input, lines, last: 0, early: Vec::new(), instructions: String::new() }
    }
}

/// What a client says first.
pub fn hello(version: &str) -> Value {
    json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}})
}

/// A server that is killed when the test is over.
pub struct Mcp {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
    last: i64,
    /// Answers of other requests than the one that was waited for.
    early: Vec<Value>,
    /// What it says of itself.
    pub instructions: String,
}

impl Mcp {
    pub fn pid(&self) -> i32 {
        self.child.id().try_into().expect("a pid")
    }

    /// Sends bytes; they need not be a message.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.input.as_mut().expect("it is open").write_all(bytes).expect("it reads");
    }

    pub fn send(&mut self, message: &Value) {
        self.send_bytes(format!("{message}\n").as_bytes());
    }

    /// Takes its input away from it.
    pub fn input(&mut self) -> ChildStdin {
        self.input.take().expect("it is open")
    }

    /// Returns the next line; `None`: there is none any more.
    pub fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(String::from_utf8(line).expect("lines are UTF-8")),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line came"),
        }
    }

    /// Returns the next message.
    pub fn receive(&mut self) -> Value {
        let line = self.line().expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("no JSON ({e}): {line}"))
    }

    /// Sends a request without waiting; returns its id.
    pub fn request(&mut self, method: &str, params: &Value) -> i64 {
        self.last += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params}));
        self.last
    }

    /// Returns the answer of a request. Answers come in any order.
    pub fn answer(&mut self, id: i64) -> Value {
        if let Some(at) = self.early.iter().position(|told| told["id"] == id) {
            return self.early.remove(at);
        }
        loop {
            let told = self.receive();
            if told["id"] == id {
                return told;
            }
            self.early.push(told);
        }
    }

    pub fn ask(&mut self, method: &str, params: &Value) -> Value {
        let id = self.request(method, params);
        self.answer(id)
    }

    /// Calls a tool; returns the result.
    pub fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let told = self.ask("tools/call", &json!({"name": tool, "arguments": arguments}));
        assert!(told["result"]["content"][0]["text"].is_string(), "{tool} {arguments}: {told}");
        told["result"].clone()
    }

    /// Calls a tool that succeeds; returns its document.
    pub fn ok(&mut self, tool: &str, arguments: &Value) -> Value {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], false, "{tool} {arguments}: {result}");
        assert_eq!(result["structuredContent"]["schema"], 1, "{tool} {arguments}: {result}");
        result["structuredContent"].clone()
    }

    /// Calls a tool that succeeds; returns its text.
    pub fn text(&mut self, tool: &str, arguments: &Value) -> String {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], false, "{tool} {arguments}: {result}");
        result["content"][0]["text"].as_str().expect("a text").to_owned()
    }

    /// Calls a tool that fails; returns the code and the text.
    pub fn fails(&mut self, tool: &str, arguments: &Value) -> (String, String) {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], true, "{tool} {arguments}: {result}");
        let error = &result["structuredContent"]["error"];
        let text = |key: &str| error[key].as_str().unwrap_or_else(|| panic!("{result}")).to_owned();
        assert_eq!(result["content"][0]["text"], format!("{}: {}", text("code"), text("text")));
        (text("code"), text("text"))
    }

    /// Adds a job; returns its number.
    pub fn add(&mut self, keys: &Value) -> i64 {
        self.ok("add", keys)["id"].as_i64().expect("a number")
    }

    /// The names of its tools.
    pub fn tools(&mut self) -> Vec<String> {
        let told = self.ask("tools/list", &json!({}));
        let tools = told["result"]["tools"].as_array().expect("a list");
        tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(mut self) {
        kill_child(&mut self.child);
    }

    /// Closes its input, and waits for its end.
    pub fn close(mut self) -> i32 {
        drop(self.input.take());
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }

    /// The most memory that it has had, in KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Mcp {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped_already = self.child.wait();
    }
}
