//! Says when a command is found here and perhaps not by the worker, which has a `PATH` of its own.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::options::Surroundings;
use super::{escape, face, worker_calls};
use crate::job::NewJob;
use crate::place::Place;

/// What a worker usually has, where it can not be asked.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Warns on stderr; never fails.
pub fn warn(place: &Place, job: &NewJob, around: &Surroundings) {
    let program = OsStr::from_bytes(&job.command.arguments()[0]);
    if program.as_bytes().contains(&b'/') || job.env.contains_key("PATH") {
        return;
    }
    let Some(found) = around.env.get(OsStr::new("PATH")).and_then(|path| find(program, path)) else { return };
    let theirs = worker_path(place).unwrap_or_else(|| USUAL_PATH.into());
    if find(program, &theirs).is_none() {
        let found = escape::quote_text(&found.to_string_lossy());
        face::say(&format!(
            "warning: the worker's PATH may not have this command; write it as {found}, or give the job -e PATH=..."
        ));
    }
}

fn find(program: &OsStr, path: &OsStr) -> Option<PathBuf> {
    let executable =
        |file: &PathBuf| std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    std::env::split_paths(path).map(|dir| dir.join(program)).find(executable)
}

/// The `PATH` that the running worker was started with.
fn worker_path(place: &Place) -> Option<OsString> {
    let holder = worker_calls::look(place).ok()??;
    let environment = std::fs::read(format!("/proc/{}/environ", holder.pid)).ok()?;
    let path = environment.split(|b| *b == 0).find_map(|variable| variable.strip_prefix(b"PATH="))?;
    Some(OsString::from_vec(path.to_vec()))
}
