//! `top` on a terminal: it shows, obeys keys, and gives the terminal back on every way out.

use std::fs::File;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use crate::support::{Nest, Signal, children, kill, said, until};

/// What gives a terminal back: its line wrapping, its cursor, its screen.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// `top` in a terminal of its own, where there is the program for it.
struct Screen<'a> {
    nest: &'a Nest,
    script: Child,
}

impl<'a> Screen<'a> {
    fn open(nest: &'a Nest) -> Option<Self> {
        Self::sized(nest, "rows 24 cols 80")
    }

    fn sized(nest: &'a Nest, size: &str) -> Option<Self> {
        if Command::new("script").arg("--version").output().is_err() {
            return None;
        }
        let top = format!("{} top", env!("CARGO_BIN_EXE_tenure"));
        let line = format!("stty {size}; stty -g >before; {top}; code=$?; stty -g >after; exit $code");
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).current_dir(nest.path());
        script.env("TENURE_DB", nest.db()).env("TERM", "xterm").env("SHELL", "/bin/sh");
        let out = File::create(nest.file("screen")).unwrap();
        let script = script.stdin(Stdio::piped()).stdout(out).stderr(Stdio::null()).spawn().unwrap();
        Some(Self { nest, script })
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.nest.file("screen")).unwrap()).into_owned()
    }

    fn until(&self, text: &str) {
        until(text, || self.shown().contains(text).then_some(()));
    }

    fn press(&mut self, keys: &str) {
        self.script.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// The process of `top`.
    fn pid(&self) -> i32 {
        let shell = until("the shell", || children(i32::try_from(self.script.id()).unwrap()).first().copied());
        until("top", || children(shell).first().copied())
    }

    /// Waits for its end, and returns its code.
    fn end(mut self) -> i32 {
        let code = self.script.wait().unwrap().code().unwrap();
        let read = |name: &str| std::fs::read_to_string(self.nest.file(name)).unwrap();
        assert_eq!(read("before"), read("after"), "the settings of the terminal");
        let shown = self.shown();
        assert!(shown.ends_with(LEAVE), "{:?}", &shown[shown.floor_char_boundary(shown.len().saturating_sub(200))..]);
        code
    }
}

#[test]
fn keys_act_on_the_job_that_is_shown() {
    let nest = Nest::new();
    let running = nest.sh(&["-l", "a\x1b]0;title\x07"], "printf 'before\\033]0;title\\007after\\n'; exec sleep 600");
    let _worker = nest.work(&[]);
    nest.until_log(running, "after");
    let Some(mut screen) = Screen::open(&nest) else { return };
    screen.until(r"before\x1b]0;title\x07after");
    nest.sh(&["--hold", "-l", "later"], "true");
    screen.until("later");
    screen.press("c");
    screen.until("cancel job 1");
    screen.press("n");
    // What is not drawn anew is missing in what is written, so a title says that the key was read.
    screen.press("w");
    screen.until("Why");
    assert_eq!(nest.state(running), "running");
    screen.press("c");
    screen.press("y");
    nest.until_state(running, "cancelled");
    screen.press("\x1b[Bu");
    nest.until_state(2, "done");
    screen.press("q");
    let shown = screen.shown();
    assert_eq!(screen.end(), 0);
    assert!(!shown.contains("\x1b]") && !shown.contains('\x07'), "nothing of a job commands the terminal");
}

#[test]
fn keys_do_nothing_while_nothing_is_shown() {
    let nest = Nest::new();
    let id = nest.sh(&["--hold"], "true");
    let Some(mut screen) = Screen::sized(&nest, "rows 6 cols 30") else { return };
    // (Spaces are not drawn.)
    screen.until("small:");
    screen.press("cyuq");
    assert_eq!(screen.end(), 0);
    assert_eq!((nest.state(id).as_str(), &nest.show(id)["hold"]), ("queued", &"user".into()));
}

#[test]
fn each_signal_gives_the_terminal_back() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130), (Signal::QUIT, 131)] {
        let nest = Nest::new();
        nest.sh(&["-l", "waits"], "true");
        let Some(screen) = Screen::open(&nest) else { return };
        screen.until("waits");
        assert!(kill(screen.pid(), signal));
        assert_eq!(screen.end(), code, "{signal:?}");
    }
}

#[test]
fn a_stopped_top_gives_the_terminal_back_and_takes_it_again() {
    let nest = Nest::new();
    nest.sh(&["-l", "waits"], "true");
    let Some(mut screen) = Screen::open(&nest) else { return };
    screen.until("waits");
    let pid = screen.pid();
    screen.press("\x1a");
    let is_stopped = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") T "));
    until("it to stop", || is_stopped().then_some(()));
    until("the terminal to be given back", || screen.shown().ends_with(LEAVE).then_some(()));
    assert!(kill(pid, Signal::CONT));
    until("it to draw again", || (!screen.shown().ends_with(LEAVE)).then_some(()));
    screen.press("q");
    assert_eq!(screen.end(), 0);
}

#[test]
fn without_a_terminal_it_says_what_to_use() {
    let nest = Nest::new();
    nest.sh(&[], "true");
    for args in [&["top"][..], &["top", "--json"]] {
        let said = said(nest.tenure(args).stdin(Stdio::null()).output().unwrap());
        assert!(said.code == 2 && said.out.is_empty() && said.err.contains("tenure status"), "{said:?}");
    }
    let none = Nest::new();
    let Some(mut screen) = Screen::open(&none) else { return };
    assert_eq!(screen.script.wait().unwrap().code(), Some(4));
    assert!(screen.shown().contains("there is no file") && !screen.shown().contains("\x1b[?1049h") && !none.db().exists());
}
