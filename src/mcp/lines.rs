//! Messages as lines of standard input and output, within limits.
//!
//! ```text
//! stdin ─▶ mcp-read: a line, or that it is too long ─▶ receive: a message, or an error is answered
//! stdout ◀─ mcp-write: a line and a flush          ◀─ send
//! ```
//!
//! A request has a turn until its answer was taken by the writer. Further ones wait for a turn, up
//! to a limit: then the client is not read from, and cannot fill the memory of the server. What
//! needs no answer needs no turn: a request can be cancelled while others wait.

use std::collections::VecDeque;
use std::io::{self, BufRead, Write};
use std::thread;

use rmcp::model::{ClientNotification, ErrorCode, ErrorData, JsonRpcMessage, RequestId, ServerJsonRpcMessage};
use rmcp::service::{RoleServer, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::escape;
use crate::mcp::limits::{ANSWERS_MAX, CLOSE_WAIT, LINE_BYTES_MAX, WAITING_BYTES_MAX, WAITING_MAX};
use crate::mcp::turns::{Free, Request, Turn, Turns, is_wait};
use crate::parse::library_words;
use crate::sync::lock;
use crate::units::size_text;

/// What was read of standard input.
enum Line {
    Whole(Vec<u8>),
    TooLong,
}

/// Standard input and output.
pub struct Lines {
    lines: mpsc::Receiver<Line>,
    answers: Option<mpsc::Sender<Vec<u8>>>,
    /// Has a value when everything was written that was sent.
    written: Option<tokio::sync::oneshot::Receiver<()>>,
    free: Free,
    turns: Turns,
    /// Requests that wait for a turn, with the lengths of their lines.
    waiting: VecDeque<(Request, usize)>,
    /// Nothing more is read.
    is_over: bool,
    gone: watch::Sender<bool>,
}

impl Lines {
    /// Begins to read and write.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start() -> io::Result<Self> {
        let (to_receive, lines) = mpsc::channel(1);
        let (answers, to_write) = mpsc::channel(ANSWERS_MAX);
        let (all_written, written) = tokio::sync::oneshot::channel();
        let gone = watch::Sender::new(false);
        let is_gone = gone.clone();
        thread::Builder::new().name("mcp-read".into()).spawn(move || read(&mut io::stdin().lock(), &to_receive))?;
        thread::Builder::new().name("mcp-write".into()).spawn(move || {
            if write(&mut io::stdout(), to_write).is_err() {
                is_gone.send_replace(true);
            }
            let _none_waits = all_written.send(());
        })?;
        let free = Free::default();
        let turns = Turns::default();
        Ok(Self {
            lines,
            answers: Some(answers),
            written: Some(written),
            free,
            turns,
            waiting: VecDeque::new(),
            is_over: false,
            gone,
        })
    }

    /// Returns what becomes true when the client has gone.
    pub fn gone(&self) -> watch::Receiver<bool> {
        self.gone.subscribe()
    }

    /// Answers what is not a request. A client that does not read is not told.
    fn complain(&self, code: ErrorCode, text: String, id: Option<RequestId>) {
        let error = ServerJsonRpcMessage::error(ErrorData::new(code, text, None), id);
        if let (Some(answers), Ok(line)) = (&self.answers, line_of(&error)) {
            let _full = answers.try_send(line);
        }
    }

    /// Returns the message of a line; `None`: it was answered, or needs no answer.
    fn message(&mut self, line: Line) -> Option<RxJsonRpcMessage<RoleServer>> {
        let Line::Whole(line) = line else {
            let most = size_text(LINE_BYTES_MAX as u64);
            self.complain(ErrorCode::INVALID_REQUEST, format!("the message is longer than {most}; put data in files"), None);
            return None;
        };
        if line.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        let value: Value = match serde_json::from_slice(&line) {
            Ok(value) => value,
            Err(error) => {
                self.complain(ErrorCode::PARSE_ERROR, library_words::json(&error), None);
                return None;
            }
        };
        let given = value.get("id");
        let id: Option<RequestId> = given.and_then(|id| serde_json::from_value(id.clone()).ok());
        // It would be taken for a notification, and not be answered.
        let is_misnamed = given.is_some() && id.is_none() && value.get("method").is_some();
        let is_notification = given.is_none() && value.get("method").is_some_and(Value::is_string);
        match serde_json::from_value::<RxJsonRpcMessage<RoleServer>>(value) {
            Ok(message) if !is_misnamed => self.admitted(message, line.len()),
            Err(_) if is_notification => None,
            _ => {
                self.complain(ErrorCode::INVALID_REQUEST, "this is not a message of the protocol".into(), id);
                None
            }
        }
    }

    /// Lets a request wait for its turn. What needs no answer is served at once.
    fn admitted(&mut self, message: RxJsonRpcMessage<RoleServer>, bytes: usize) -> Option<RxJsonRpcMessage<RoleServer>> {
        match message {
            JsonRpcMessage::Request(request) => {
                let is_waiting = self.waiting.iter().any(|(other, _)| other.id == request.id);
                if is_waiting || lock(&self.turns).contains_key(&request.id) {
                    let told = format!("the id {} is that of a request without an answer", request.id);
                    self.complain(ErrorCode::INVALID_REQUEST, told, None);
                } else {
                    self.waiting.push_back((request, bytes));
                }
                None
            }
            // It is not answered any more.
            JsonRpcMessage::Notification(one) => {
                if let ClientNotification::CancelledNotification(cancelled) = &one.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    lock(&self.turns).remove(id);
                    self.waiting.retain(|(request, _)| request.id != *id);
                }
                Some(JsonRpcMessage::Notification(one))
            }
            other => Some(other),
        }
    }

    /// Whether so little waits that more is read.
    fn has_room(&self) -> bool {
        let bytes: usize = self.waiting.iter().map(|(_, bytes)| bytes).sum();
        self.waiting.len() < WAITING_MAX && bytes < WAITING_BYTES_MAX
    }

    fn has_waiting(&self, waits: bool) -> bool {
        self.waiting.iter().any(|(request, _)| is_wait(request) == waits)
    }

    /// Returns the request of a kind that has waited longest, which has its turn now.
    fn first(&mut self, waits: bool, turn: Turn) -> Option<RxJsonRpcMessage<RoleServer>> {
        let at = self.waiting.iter().position(|(request, _)| is_wait(request) == waits)?;
        let (request, _) = self.waiting.remove(at)?;
        lock(&self.turns).insert(request.id.clone(), turn);
        Some(JsonRpcMessage::Request(request))
    }

    /// Returns a request that can be served at once.
    fn first_now(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        [false, true].into_iter().find_map(|waits| {
            let turn = self.has_waiting(waits).then(|| self.free.turn_now(waits))??;
            self.first(waits, turn)
        })
    }
}

impl Transport<RoleServer> for Lines {
    type Error = io::Error;

    fn send(&mut self, message: TxJsonRpcMessage<RoleServer>) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let id = match &message {
            JsonRpcMessage::Response(answer) => Some(&answer.id),
            JsonRpcMessage::Error(answer) => answer.id.as_ref(),
            JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => None,
        };
        let turn = id.and_then(|id| lock(&self.turns).remove(id));
        let answers = self.answers.clone();
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        async move {
            let _turn = turn;
            answers.ok_or_else(gone)?.send(line_of(&message)?).await.map_err(|_| gone())
        }
    }

    /// May be dropped at each `await` and called again: nothing is lost then.
    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let mut gone = self.gone.subscribe();
        loop {
            if let Some(message) = self.first_now() {
                return Some(message);
            }
            // What was asked last and has no turn is not waited for: nothing was answered.
            if self.is_over {
                self.gone.send_replace(true);
                return None;
            }
            let (others, waits) = (self.free.clone().turn(false), self.free.clone().turn(true));
            let line = tokio::select! {
                Some(turn) = others, if self.has_waiting(false) => return self.first(false, turn),
                Some(turn) = waits, if self.has_waiting(true) => return self.first(true, turn),
                line = self.lines.recv(), if self.has_room() => line,
                _ = gone.wait_for(|gone| *gone) => None,
            };
            match line {
                None => self.is_over = true,
                Some(line) => {
                    if let Some(message) = self.message(line) {
                        return Some(message);
                    }
                }
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.answers = None;
        if let Some(written) = self.written.take() {
            let _reader_has_gone = tokio::time::timeout(CLOSE_WAIT, written).await;
        }
        Ok(())
    }
}

/// Returns a message as a line, whose characters command no terminal.
fn line_of(message: &TxJsonRpcMessage<RoleServer>) -> io::Result<Vec<u8>> {
    let text = serde_json::to_string(message)?;
    Ok(format!("{}\n", escape::json(&text)).into_bytes())
}

fn write(out: &mut dyn Write, mut lines: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    while let Some(line) = lines.blocking_recv() {
        out.write_all(&line)?;
        out.flush()?;
    }
    Ok(())
}

/// Reads lines until the end, or until no thread receives them. No more than a line is in memory.
fn read(input: &mut dyn BufRead, lines: &mpsc::Sender<Line>) {
    while let Ok(Some(line)) = next(input) {
        if lines.blocking_send(line).is_err() {
            return;
        }
    }
}

/// Returns the next line; `None` at the end.
fn next(input: &mut dyn BufRead) -> io::Result<Option<Line>> {
    let (mut line, mut is_too_long) = (Vec::new(), false);
    loop {
        let piece = match input.fill_buf() {
            Ok(piece) => piece,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if piece.is_empty() {
            let is_end = line.is_empty() && !is_too_long;
            return Ok((!is_end).then_some(if is_too_long { Line::TooLong } else { Line::Whole(line) }));
        }
        let end = piece.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(piece.len(), |at| at + 1);
        let text = &piece[..end.unwrap_or(piece.len())];
        is_too_long |= line.len() + text.len() > LINE_BYTES_MAX;
        if is_too_long {
            line = Vec::new();
        } else {
            line.extend_from_slice(text);
        }
        input.consume(taken);
        if end.is_some() {
            return Ok(Some(if is_too_long { Line::TooLong } else { Line::Whole(line) }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::limits::REQUESTS_MAX;

    fn lines(input: &[u8], buffer: usize) -> Vec<Option<String>> {
        let mut input = io::BufReader::with_capacity(buffer, input);
        let mut all = Vec::new();
        while let Some(line) = next(&mut input).unwrap() {
            all.push(match line {
                Line::Whole(bytes) => Some(String::from_utf8(bytes).unwrap()),
                Line::TooLong => None,
            });
        }
        all
    }

    #[test]
    fn a_client_that_does_not_read_is_not_read_from() {
        use std::pin::pin;
        use std::task::{Context, Poll, Waker};

        const SENT: usize = REQUESTS_MAX + WAITING_MAX + 10;
        let (to_receive, lines) = mpsc::channel(SENT);
        let (answers, _to_write) = mpsc::channel(1);
        for id in 0..SENT {
            let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#);
            to_receive.try_send(Line::Whole(line.into_bytes())).ok().unwrap();
        }
        let (free, turns, gone) = (Free::default(), Turns::default(), watch::Sender::new(false));
        let waiting = VecDeque::new();
        let mut lines = Lines { lines, answers: Some(answers), written: None, free, turns, waiting, is_over: false, gone };
        let receives = |lines: &mut Lines| {
            let mut context = Context::from_waker(Waker::noop());
            matches!(pin!(lines.receive()).poll(&mut context), Poll::Ready(Some(_)))
        };
        assert!((0..REQUESTS_MAX).all(|_| receives(&mut lines)));
        assert!(!receives(&mut lines) && !receives(&mut lines), "none is answered");
        assert_eq!((lines.waiting.len(), lines.lines.len()), (WAITING_MAX, 10), "the rest is not read");
        let id = RequestId::Number(7);
        let answer = ServerJsonRpcMessage::error(ErrorData::new(ErrorCode::INTERNAL_ERROR, "", None), Some(id));
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(lines.send(answer)).poll(&mut context).is_ready());
        assert!(receives(&mut lines), "one is answered");
        assert!(!receives(&mut lines));
        // The writer takes no further answer: its turn is not given away.
        let answer = ServerJsonRpcMessage::error(ErrorData::new(ErrorCode::INTERNAL_ERROR, "", None), Some(RequestId::Number(8)));
        let mut unread = pin!(lines.send(answer));
        assert!(unread.as_mut().poll(&mut context).is_pending());
        assert!(!receives(&mut lines));
    }

    #[test]
    fn a_line_is_whole_or_too_long_however_it_comes() {
        let some = |text: &str| Some(text.to_owned());
        for buffer in [1, 3, 1 << 16] {
            assert_eq!(lines(b"a\n\nbc\r\nd", buffer), [some("a"), some(""), some("bc\r"), some("d")]);
            assert_eq!(lines(b"", buffer), []);
        }
        let longest = "x".repeat(LINE_BYTES_MAX);
        let input = format!("{longest}\n{longest}y\nz\n{longest}yy");
        assert_eq!(lines(input.as_bytes(), 8 << 10), [Some(longest), None, some("z"), None]);
    }
}
