//! From the words of a line to what is expected next, by the definition of the command line.

use clap::{Arg, ArgAction, Command};

/// What may follow where a word is being typed.
#[derive(Debug)]
pub enum Wanted<'a> {
    Nothing,
    /// A verb below this one, an option of it, or `--` before the command of a job.
    Word {
        verb: &'a Command,
        kind: Kind,
    },
    /// The value of an argument.
    Value {
        arg: &'a Arg,
        at: At<'a>,
    },
    /// A command, which begins with the word of this number.
    Command {
        from: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Verb,
    Option,
}

/// Where the value of an argument is.
#[derive(Debug)]
pub struct At<'a> {
    /// The verb that it is given to, such as `queue set`.
    pub path: Vec<&'a str>,
    /// What was typed of the word before the value, such as `--queue=`; in bytes.
    pub begin: usize,
    /// The options that were given before.
    pub given: Vec<&'a str>,
    /// The words that are neither options nor their values.
    pub words: Vec<String>,
}

/// Finds what is expected. `root` has been built; `words` are those before the one that is being
/// typed, the program first.
pub fn walk<'a>(root: &'a Command, words: &[String], typed: &str) -> Wanted<'a> {
    let mut walk = Walk { verb: root, pending: None, at: At { path: vec![], begin: 0, given: vec![], words: vec![] } };
    for (n, word) in words.iter().enumerate().skip(1) {
        if word == "--" && walk.takes_command() {
            return Wanted::Command { from: n + 1 };
        }
        if !walk.step(word) {
            return Wanted::Nothing;
        }
    }
    walk.wanted(typed)
}

struct Walk<'a> {
    verb: &'a Command,
    /// The option whose value comes next.
    pending: Option<&'a Arg>,
    at: At<'a>,
}

impl<'a> Walk<'a> {
    fn takes_command(&self) -> bool {
        self.verb.get_arguments().any(Arg::is_last_set)
    }

    /// Options of the verb. It has been built, so it has those of every verb.
    fn options(&self) -> impl Iterator<Item = &'a Arg> + use<'a> {
        self.verb.get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set())
    }

    fn long(&self, name: &str) -> Option<&'a Arg> {
        self.options().find(|arg| arg.get_long() == Some(name))
    }

    fn short(&self, name: char) -> Option<&'a Arg> {
        self.options().find(|arg| arg.get_short() == Some(name))
    }

    /// Goes over a word; `false`: there is no such verb.
    fn step(&mut self, word: &str) -> bool {
        if let Some(arg) = self.pending.filter(|_| !word.starts_with('-') || word.len() == 1) {
            // The ids of `--after 1 2 3` continue until an option comes.
            self.pending = arg.get_num_args().is_some_and(|n| n.max_values() > 1).then_some(arg);
            return true;
        }
        self.pending = None;
        if let Some(long) = word.strip_prefix("--") {
            let (name, has_value) = long.split_once('=').map_or((long, false), |(name, _)| (name, true));
            self.note(self.long(name), !has_value);
        } else if let Some(shorts) = word.strip_prefix('-').filter(|shorts| !shorts.is_empty()) {
            for (at, c) in shorts.char_indices() {
                let arg = self.short(c);
                let is_last = at + c.len_utf8() == shorts.len();
                self.note(arg, is_last);
                if arg.is_some_and(takes_value) {
                    break;
                }
            }
        } else if self.verb.has_subcommands() {
            let Some(below) = self.verb.find_subcommand(word) else { return false };
            self.verb = below;
            self.at.path.push(below.get_name());
        } else {
            self.at.words.push(word.to_owned());
        }
        true
    }

    fn note(&mut self, arg: Option<&'a Arg>, value_comes: bool) {
        self.at.given.extend(arg.map(|arg| arg.get_id().as_str()));
        self.pending = arg.filter(|arg| value_comes && takes_value(arg));
    }

    fn wanted(mut self, typed: &str) -> Wanted<'a> {
        if let Some(arg) = self.pending.filter(|_| !typed.starts_with('-')) {
            return Wanted::Value { arg, at: self.at };
        }
        if let Some(long) = typed.strip_prefix("--").and_then(|long| long.split_once('=')).map(|(name, _)| name) {
            self.at.begin = "--=".len() + long.len();
            return match self.long(long).filter(|arg| takes_value(arg)) {
                Some(arg) => Wanted::Value { arg, at: self.at },
                None => Wanted::Nothing,
            };
        }
        if typed.starts_with('-') {
            return Wanted::Word { verb: self.verb, kind: Kind::Option };
        }
        if self.verb.has_subcommands() {
            return Wanted::Word { verb: self.verb, kind: Kind::Verb };
        }
        match self.positional() {
            Some(arg) => Wanted::Value { arg, at: self.at },
            None if self.takes_command() => Wanted::Word { verb: self.verb, kind: Kind::Option },
            None => Wanted::Nothing,
        }
    }

    /// The positional that the next word is; the last one takes all that come, if it takes several.
    fn positional(&self) -> Option<&'a Arg> {
        let all: Vec<&Arg> = self.verb.get_positionals().filter(|arg| !arg.is_last_set()).collect();
        let many = all.last().filter(|arg| matches!(arg.get_action(), ArgAction::Append));
        all.get(self.at.words.len()).or(many).copied()
    }
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
