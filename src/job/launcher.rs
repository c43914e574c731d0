//! What another engine says of the runs that a launcher has given to it, and what that means.
//!
//! The engine's word replaces the kernel's: a run ends only when the engine says that it has ended,
//! or twice that it does not have it. An answer that cannot be read, or none, means that it is not
//! known, which ends nothing.
//!
//! `status` of a launcher prints a line for each name that it was asked for:
//!
//! ```text
//! tenure-0f1e... waiting Resources
//! tenure-1a2b... running on node3
//! tenure-2c3d... ended 0 max_rss=1048576 user_ms=1500 system_ms=20
//! tenure-3e4f... gone
//! ```

use std::collections::BTreeMap;

use crate::job::{Cause, Exit, Nonce, RunEnd};

/// The launchers that tenure has.
pub const BUILT_IN: &[&str] = &["slurm", "ssh"];
/// How the names of all runs begin that an engine is given.
pub const NAME_PREFIX: &str = "tenure-";
/// Longest words of an engine that are kept, in characters.
const WORDS_MAX: usize = 200;
/// The option for how often an engine is asked; its default, and its limits, in milliseconds.
pub const INTERVAL: &str = "interval";
pub const INTERVAL_MS_DEFAULT: u64 = 5_000;
pub const INTERVAL_MS: (u64, u64) = (100, 3_600_000);
/// Longest name of an option, in bytes.
const OPTION_NAME_MAX: usize = 64;
/// How often in a row an engine must say that it does not have a run, until that is believed.
pub const GONE_TIMES: u32 = 2;

/// Whether a launcher is one that tenure has; others are directories.
pub fn is_built_in(launcher: &str) -> bool {
    BUILT_IN.contains(&launcher)
}

/// Returns the name that a run has at its engine.
pub fn name(nonce: Nonce) -> String {
    format!("{NAME_PREFIX}{nonce}")
}

/// The state of a run, by its engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The engine has it, and has not begun to run it; or it will run it again.
    Waiting,
    Running,
    /// It has ended by itself.
    Ended {
        exit: Exit,
        usage: Usage,
    },
    /// A person or the engine has stopped it.
    Stopped,
    /// The engine has stopped it for its time limit.
    TimedOut,
    /// The engine has stopped it for its memory.
    OutOfMemory,
    /// The engine has lost it, such as with its node: how it ended is not known.
    Lost,
    /// The engine does not have it, and never had it or has forgotten it.
    Gone,
    /// It is not known.
    Unknown,
}

/// What an ended run has used, as far as the engine says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub max_rss_bytes: Option<i64>,
    pub user_ms: Option<i64>,
    pub system_ms: Option<i64>,
}

/// What an engine says of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub state: State,
    /// More about it, for people: the rest of the line.
    pub words: Option<String>,
}

impl Answer {
    fn unknown(words: impl Into<String>) -> Self {
        Self { state: State::Unknown, words: Some(kept(&words.into())) }
    }

    /// Returns the word for the state.
    pub fn word(&self) -> &'static str {
        match self.state {
            State::Waiting => "waiting",
            State::Running => "running",
            State::Ended { .. } => "ended",
            State::Stopped => "stopped",
            State::TimedOut => "timeout",
            State::OutOfMemory => "memory",
            State::Lost => "lost",
            State::Gone => "gone",
            State::Unknown => "unknown",
        }
    }

    /// Whether the engine has the run, or had it.
    pub fn is_of_a_known_run(&self) -> bool {
        !matches!(self.state, State::Gone | State::Unknown)
    }

    /// Returns how the run has ended, if it has. `asked`: why the engine was asked to stop it, if
    /// it was. `gone_times`: how often in a row the engine has said that it does not have it.
    pub fn end(&self, asked: Option<Cause>, gone_times: u32) -> Option<RunEnd> {
        let stopped = |cause, out_of_memory| RunEnd::Ended { exit: Exit::Signal(SIGTERM), cause, out_of_memory };
        match self.state {
            State::Waiting | State::Running | State::Unknown => None,
            // It may have ended before it was stopped; a success is one.
            State::Ended { exit: Exit::Code(0), .. } => {
                Some(RunEnd::Ended { exit: Exit::Code(0), cause: None, out_of_memory: false })
            }
            State::Ended { exit, .. } => Some(RunEnd::Ended { exit, cause: asked, out_of_memory: false }),
            State::Stopped => Some(stopped(asked, false)),
            State::TimedOut => Some(stopped(Some(asked.unwrap_or(Cause::Timeout)), false)),
            State::OutOfMemory => Some(RunEnd::Ended { exit: Exit::Signal(SIGKILL), cause: asked, out_of_memory: true }),
            State::Lost => Some(RunEnd::Lost),
            State::Gone => (gone_times >= GONE_TIMES).then_some(RunEnd::Lost),
        }
    }

    pub fn usage(&self) -> Usage {
        match self.state {
            State::Ended { usage, .. } => usage,
            _ => Usage::default(),
        }
    }
}

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// Reads the output of `status`. Of a name without a line, nothing is known; lines of other names
/// do not count. Where an engine has several runs of a name, one that still lives counts, and of
/// two different ends neither does.
pub fn answers(output: &str, names: &[String]) -> BTreeMap<String, Answer> {
    let mut answers: BTreeMap<String, Answer> = BTreeMap::new();
    for line in output.lines() {
        let (name, rest) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        if !names.iter().any(|asked| asked == name) {
            continue;
        }
        let answer = answer(rest.trim());
        let joined = match answers.remove(name) {
            None => answer,
            Some(before) => joined(before, answer),
        };
        answers.insert(name.to_owned(), joined);
    }
    let missing = names.iter().filter(|name| !answers.contains_key(*name)).cloned().collect::<Vec<_>>();
    answers.extend(missing.into_iter().map(|name| (name, Answer::unknown("status has no line of it"))));
    answers
}

fn joined(one: Answer, other: Answer) -> Answer {
    let lives = |answer: &Answer| matches!(answer.state, State::Waiting | State::Running | State::Unknown);
    match (lives(&one), lives(&other)) {
        _ if one.state == other.state => one,
        (true, _) => one,
        (false, true) => other,
        (false, false) => Answer::unknown(format!("status says {} and {} of it", one.word(), other.word())),
    }
}

fn answer(text: &str) -> Answer {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let state = match word {
        "waiting" => State::Waiting,
        "running" => State::Running,
        "stopped" => State::Stopped,
        "timeout" => State::TimedOut,
        "memory" => State::OutOfMemory,
        "lost" => State::Lost,
        "gone" => State::Gone,
        "unknown" => State::Unknown,
        "ended" => return ended(rest),
        _ => return Answer::unknown(format!("status says {text:?} of it")),
    };
    Answer { state, words: (!rest.is_empty()).then(|| kept(rest)) }
}

fn ended(rest: &str) -> Answer {
    let mut parts = rest.split_whitespace();
    let exit = match parts.next().and_then(exit) {
        Some(exit) => exit,
        None => return Answer::unknown(format!("status says \"ended {rest}\" of it, without an exit code")),
    };
    let mut usage = Usage::default();
    let words: Vec<&str> = parts.filter(|part| !takes(&mut usage, part)).collect();
    Answer { state: State::Ended { exit, usage }, words: (!words.is_empty()).then(|| kept(&words.join(" "))) }
}

/// Reads `3`, or `signal:9`.
fn exit(text: &str) -> Option<Exit> {
    match text.strip_prefix("signal:") {
        Some(signal) => signal.parse().ok().filter(|n| (1..=64).contains(n)).map(Exit::Signal),
        None => text.parse().ok().filter(|n| (0..=255).contains(n)).map(Exit::Code),
    }
}

fn takes(usage: &mut Usage, part: &str) -> bool {
    let Some((key, value)) = part.split_once('=') else { return false };
    let value = value.parse::<i64>().ok().filter(|n| *n >= 0);
    let place = match key {
        "max_rss" => &mut usage.max_rss_bytes,
        "user_ms" => &mut usage.user_ms,
        "system_ms" => &mut usage.system_ms,
        _ => return false,
    };
    *place = value;
    true
}

/// Returns the last line of an output that has text: what the engine calls a run, or why it
/// refused.
pub fn last_line(output: &str) -> Option<String> {
    output.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(kept)
}

/// Reads the options of a queue; what is not a text counts as its JSON.
pub fn options(json: &str) -> BTreeMap<String, String> {
    let all: BTreeMap<String, serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    let text = |value: serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    all.into_iter().map(|(name, value)| (name, text(value))).collect()
}

/// Whether an option may have this name: that of a long option of a command.
pub fn is_option(name: &str) -> bool {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= OPTION_NAME_MAX && name.bytes().all(fine)
}

/// Returns the variable that a launcher finds an option in.
pub fn variable(option: &str) -> String {
    format!("TENURE_OPTION_{}", option.to_ascii_uppercase().replace('-', "_"))
}

fn kept(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "tenure-0123456789abcdef0123456789abcdef";
    const B: &str = "tenure-ffffffffffffffffffffffffffffffff";

    fn of(output: &str) -> Answer {
        answers(output, &[A.into()]).remove(A).unwrap()
    }

    #[test]
    fn each_line_is_an_answer() {
        let said = |rest: &str| of(&format!("{A} {rest}\n"));
        assert_eq!(said("waiting Resources, now").words.as_deref(), Some("Resources, now"));
        let usage = Usage { max_rss_bytes: Some(5), user_ms: Some(6), system_ms: None };
        let ended = said("ended 3 max_rss=5 user_ms=6 system_ms=-1 on node3");
        assert_eq!(ended.state, State::Ended { exit: Exit::Code(3), usage });
        assert_eq!((ended.words.as_deref(), ended.usage()), (Some("on node3"), usage));
        assert_eq!(said("ended signal:9").state, State::Ended { exit: Exit::Signal(9), usage: Usage::default() });
        for word in ["waiting", "running", "stopped", "timeout", "memory", "lost", "gone", "unknown"] {
            assert_eq!(said(word).word(), word);
        }
    }

    #[test]
    fn what_cannot_be_read_is_unknown_and_ends_nothing() {
        let long = format!("{A} \u{1b}[31m{}", "x".repeat(100_000));
        let wrong = ["", "ended", "ended x", "ended 256", "ended -1", "ended signal:0", "Running", "done 0"];
        let wrong =
            wrong.iter().map(|rest| format!("{A} {rest}")).chain(["".into(), "\0\0".into(), format!("{B} ended 0"), long]);
        for output in wrong {
            let answer = of(&output);
            assert_eq!((&answer.state, answer.end(Some(Cause::Cancel), 9)), (&State::Unknown, None), "{output:.60}");
            assert!(answer.words.unwrap().chars().all(|c| !c.is_control()));
        }
    }

    #[test]
    fn of_several_runs_of_a_name_one_that_lives_counts() {
        let of_two = |one: &str, other: &str| of(&format!("{A} {one}\n{A} {other}\n")).state;
        for lives in ["waiting", "running", "unknown"] {
            for other in ["ended 0", "gone", "lost"] {
                assert_eq!(of_two(lives, other), of_two(other, lives));
                assert!(of(&format!("{A} {lives}\n{A} {other}")).end(None, 9).is_none());
            }
        }
        assert_eq!(of_two("ended 0", "ended 1"), State::Unknown);
        assert!(matches!(of_two("ended 1", "ended 1"), State::Ended { .. }));
    }

    #[test]
    fn a_run_is_given_up_after_two_answers() {
        let gone = Answer { state: State::Gone, words: None };
        assert_eq!((gone.end(None, 1), gone.end(None, 2)), (None, Some(RunEnd::Lost)));
    }

    #[test]
    fn a_success_is_one_also_after_a_cancel() {
        let ended = |code| Answer { state: State::Ended { exit: Exit::Code(code), usage: Usage::default() }, words: None };
        assert!(ended(0).end(Some(Cause::Cancel), 0).unwrap().is_success());
        let stopped = ended(143).end(Some(Cause::Cancel), 0);
        assert_eq!(stopped, Some(RunEnd::Ended { exit: Exit::Code(143), cause: Some(Cause::Cancel), out_of_memory: false }));
    }

    #[test]
    fn the_last_line_of_a_submission_is_what_the_engine_calls_it() {
        assert_eq!(last_line("warning\n 4711 \n\n"), Some("4711".into()));
        assert_eq!((last_line(" \n"), last_line("\u{1b}]0;x\u{7}y")), (None, Some("]0;xy".into())));
        assert_eq!(last_line(&"x".repeat(5_000)).unwrap().len(), WORDS_MAX);
    }

    #[test]
    fn options_are_texts() {
        assert_eq!(
            options(r#"{"partition":"main","n":3}"#),
            BTreeMap::from([("n".into(), "3".into()), ("partition".into(), "main".into())])
        );
        assert!(options("[]").is_empty() && options("").is_empty());
    }
}
