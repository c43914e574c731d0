//! A command: an argv, byte for byte.
//!
//! In the file it is a JSON array. An argument that is UTF-8 is a string; any other is
//! `{"hex": "..."}`, so that the exact bytes are run. No shell is involved.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use thiserror::Error;

use super::limits::{ARGUMENT_BYTES_MAX, ARGV_LEN_MAX, SPEC_BYTES_MAX};

/// Longest value of an argument that is shown in a message, in characters.
const SHOWN_CHARS_MAX: usize = 60;

/// A command line: at least one argument, the first of them not empty, none with a NUL byte, all
/// within the limits of `execve`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Argv(Vec<Vec<u8>>);

/// Why a list of arguments is not a command.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ArgvError {
    #[error("the command is empty; give at least the name of a program")]
    Empty,
    #[error("the command is empty; give it something to do, or omit it")]
    Blank,
    #[error("argument {0} contains a NUL byte, which no program can be given; remove it or put the data in a file")]
    Nul(usize),
    #[error("argument {index} has {bytes} bytes; the limit is {ARGUMENT_BYTES_MAX}; put the data in a file or use --stdin")]
    ArgumentTooLong { index: usize, bytes: usize },
    #[error("the command has {0} arguments; the limit is {ARGV_LEN_MAX}; put them in a file")]
    TooMany(usize),
    #[error("the command has {0} bytes; the limit is {SPEC_BYTES_MAX}; put the data in a file or use --stdin")]
    TooLong(usize),
    #[error("a command is a JSON array of strings, such as [\"echo\", \"hi\"]: {0}")]
    Json(String),
}

impl Argv {
    /// Checks a list of arguments.
    ///
    /// # Errors
    /// See [`ArgvError`]: such a list could never be executed.
    pub fn new(arguments: Vec<Vec<u8>>) -> Result<Self, ArgvError> {
        if arguments.first().is_none_or(Vec::is_empty) {
            return Err(ArgvError::Empty);
        }
        if arguments.len() > ARGV_LEN_MAX {
            return Err(ArgvError::TooMany(arguments.len()));
        }
        for (index, argument) in arguments.iter().enumerate() {
            if argument.contains(&0) {
                return Err(ArgvError::Nul(index));
            }
            if argument.len() > ARGUMENT_BYTES_MAX {
                return Err(ArgvError::ArgumentTooLong { index, bytes: argument.len() });
            }
        }
        let bytes = arguments.iter().map(|a| a.len() + 1).sum();
        if bytes > SPEC_BYTES_MAX {
            return Err(ArgvError::TooLong(bytes));
        }
        Ok(Self(arguments))
    }

    /// Makes a command from strings, the usual case.
    ///
    /// # Errors
    /// As [`Argv::new`].
    pub fn from_strs<S: AsRef<str>>(arguments: &[S]) -> Result<Self, ArgvError> {
        Self::new(arguments.iter().map(|a| a.as_ref().as_bytes().to_vec()).collect())
    }

    /// `/bin/sh -c LINE`.
    ///
    /// # Errors
    /// As [`Argv::new`], and a line that does nothing.
    pub fn shell(line: impl AsRef<[u8]>) -> Result<Self, ArgvError> {
        let line = line.as_ref();
        if line.trim_ascii().is_empty() {
            return Err(ArgvError::Blank);
        }
        Self::new(vec![b"/bin/sh".to_vec(), b"-c".to_vec(), line.to_vec()])
    }

    /// Parses the JSON of the file.
    ///
    /// # Errors
    /// As [`Argv::new`], and [`ArgvError::Json`] if it is not an array of strings.
    pub fn from_json(text: &str) -> Result<Self, ArgvError> {
        // The usual case, without a tree of values.
        if let Ok(strings) = serde_json::from_str::<Vec<String>>(text) {
            return Self::new(strings.into_iter().map(String::into_bytes).collect());
        }
        let json: Value = serde_json::from_str(text).map_err(|_| ArgvError::Json("it is not JSON".to_owned()))?;
        let Value::Array(raw) = json else { return Err(ArgvError::Json("it is not an array".to_owned())) };
        let argument = |(index, value): (usize, Value)| {
            let shown: String = value.to_string().chars().take(SHOWN_CHARS_MAX).collect();
            let wrong =
                |_| format!("argument {index} is {shown}; write a string, or {{\"hex\": \"ff\"}} for bytes that are not UTF-8");
            serde_json::from_value::<Element>(value).map_err(wrong)?.bytes()
        };
        let arguments = raw.into_iter().enumerate().map(argument).collect::<Result<_, _>>().map_err(ArgvError::Json)?;
        Self::new(arguments)
    }

    /// Returns the JSON for the file.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and hexadecimal digits are always JSON")
    }

    pub fn arguments(&self) -> &[Vec<u8>] {
        &self.0
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Element {
    Text(String),
    Hex { hex: String },
}

impl Element {
    fn of(argument: &[u8]) -> Self {
        match std::str::from_utf8(argument) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Hex { hex: argument.iter().map(|byte| format!("{byte:02x}")).collect() },
        }
    }

    fn bytes(self) -> Result<Vec<u8>, String> {
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::Hex { hex } if hex.len().is_multiple_of(2) && hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
                (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).map_err(|e| e.to_string())).collect()
            }
            Self::Hex { hex } => Err(format!("{hex:?} is not an even number of hexadecimal digits")),
        }
    }
}

impl Serialize for Argv {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|a| Element::of(a)))
    }
}

impl<'de> Deserialize<'de> for Argv {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Vec::<Element>::deserialize(deserializer)?;
        let arguments = raw.into_iter().map(Element::bytes).collect::<Result<_, _>>().map_err(D::Error::custom)?;
        Self::new(arguments).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf8_come_back_as_they_were() {
        let argv = Argv::new(vec![b"printf".to_vec(), vec![0xff, 0x01, b'x'], "ü".into()]).unwrap();
        assert_eq!(argv.to_json(), r#"["printf",{"hex":"ff0178"},"ü"]"#);
        assert_eq!(Argv::from_json(&argv.to_json()), Ok(argv));
    }

    #[test]
    fn an_impossible_command_is_refused() {
        assert_eq!(Argv::new(vec![]), Err(ArgvError::Empty));
        assert_eq!(Argv::from_strs(&["", "x"]), Err(ArgvError::Empty));
        assert_eq!(Argv::from_strs(&["a", "b\0c"]), Err(ArgvError::Nul(1)));
        assert_eq!(Argv::from_json(r#"["a","b\u0000"]"#), Err(ArgvError::Nul(1)));
        assert_eq!(Argv::from_json(r#"["a",{"hex":"00"}]"#), Err(ArgvError::Nul(1)));
        assert!(matches!(Argv::from_json(r#"["a",{"hex":"0"}]"#), Err(ArgvError::Json(_))));
        assert!(matches!(Argv::from_json(r#"["a",{"hex":"é"}]"#), Err(ArgvError::Json(_))));
        assert!(matches!(Argv::from_json(r#"["a",1]"#), Err(ArgvError::Json(_))));
        assert!(matches!(Argv::from_json("\"echo\""), Err(ArgvError::Json(_))));
        let long = "x".repeat(ARGUMENT_BYTES_MAX + 1);
        assert!(matches!(Argv::from_strs(&["a", &long]), Err(ArgvError::ArgumentTooLong { index: 1, .. })));
        let many = vec![vec![b'x'; 100_000]; 20];
        assert!(matches!(Argv::new(many), Err(ArgvError::TooLong(_))));
    }
}
