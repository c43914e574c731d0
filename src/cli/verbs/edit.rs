//! `tenure edit`: change a queued job in an editor.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::cli::adding;
use crate::cli::face;
use crate::cli::face::Face;
use crate::cli::parse::pick::Named;
use crate::cli::parse::{edited, pick};
use crate::cli::view::escape;
use crate::error::{Error, Result, exit};
use crate::job::JobId;
use crate::queue::Queue;

/// Used if neither VISUAL nor EDITOR is set.
const EDITOR: &str = "vi";

pub fn run(face: &Face, which: &Named) -> Result<u8> {
    let queue = Queue::of(&face.editor()?);
    let [job] = &pick::jobs(&queue, &which.ids)?[..] else {
        return Err(Error::Invalid("name one job; tenure set changes several at once".into()));
    };
    let (id, was) = (job.id, queue.description(job.id)?);
    queue.refuse_unless_queued(id)?;
    let before = edited::text(id, &was).map_err(Error::Refused)?;
    let file = Text::write(id, &before)?;
    let after = file.edit()?;
    if after == before {
        face::say("nothing was changed");
        return Ok(exit::OK);
    }
    let around = adding::surroundings(face, &queue.store, &crate::cli::parse::options::JobOptions::default())?;
    let changed = edited::parse(&after, &was, &around)
        .map_err(Error::Invalid)
        .and_then(|wanted| queue.change(id, was, wanted))
        .map_err(|error| file.keep(&error))?;
    face::say("changed");
    if changed {
        face::say(&format!("job {id} has no attempt left, and has ended; tenure why {id} says how"));
    }
    Ok(exit::OK)
}

/// A private file with the text, removed at the end.
struct Text {
    file: tempfile::NamedTempFile,
}

impl Text {
    fn write(id: JobId, text: &str) -> Result<Self> {
        let name = format!("tenure-job-{id}-");
        let made = tempfile::Builder::new().prefix(&name).suffix(".toml").tempfile();
        let mut file = made.map_err(|e| Error::io("making a file for the editor", e))?;
        file.write_all(text.as_bytes()).map_err(|e| Error::io("writing the file for the editor", e))?;
        Ok(Self { file })
    }

    fn path(&self) -> &Path {
        self.file.path()
    }

    /// Runs the editor, and returns the text as it is then.
    fn edit(&self) -> Result<String> {
        let named =
            ["VISUAL", "EDITOR"].into_iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()));
        let editor = named.unwrap_or_else(|| EDITOR.to_owned());
        // As git does: the value may have arguments.
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(self.path());
        let status = command.status().map_err(|e| Error::io("starting the editor", e))?;
        if !status.success() {
            let shown = escape::quote_text(&editor);
            return Err(Error::Invalid(format!(
                "the editor {shown} ended with {status}; nothing was changed (set EDITOR to another)"
            )));
        }
        std::fs::read_to_string(self.path()).map_err(|e| Error::io("reading the edited file", e))
    }

    /// Keeps the file, so that no work is lost.
    fn keep(&self, error: &Error) -> Error {
        let kept = self.file.path().with_extension("kept.toml");
        let text = match std::fs::copy(self.path(), &kept) {
            Ok(_) => format!("{error}; nothing was changed, and the text is in {}", shown(&kept)),
            Err(_) => format!("{error}; nothing was changed"),
        };
        match error {
            Error::Refused(_) => Error::Refused(text),
            _ => Error::Invalid(text),
        }
    }
}

fn shown(path: &Path) -> String {
    escape::quote_text(&path.to_string_lossy())
}
