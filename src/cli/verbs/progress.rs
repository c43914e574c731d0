//! `tenure progress`: inside a job, reports its progress.

use crate::cli::face::Face;
use crate::cli::parse::values;
use crate::error::{Error, Result, exit};
use crate::job::{JobId, RunId};
use crate::store::job::control;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// 0 to 100
    #[arg(value_name = "PERCENT", value_parser = parse_percent)]
    pub percent: f64,
    /// The present step, for people
    #[arg(value_name = "TEXT", value_parser = values::parse_label)]
    pub text: Option<String>,
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
    number
        .filter(|n| (0.0..=100.0).contains(n))
        .ok_or_else(|| format!("{:?} is not a number from 0 to 100", values::shorten(text)))
}

pub fn run(face: &Face, args: &Args) -> Result<u8> {
    let (job, run) = (JobId(inside("TENURE_JOB")?), RunId(inside("TENURE_RUN")?));
    let store = face.editor()?;
    let (percent, text, now_ms) = (args.percent, args.text.clone(), face.now_ms());
    if store.write(move |conn| control::progress(conn, job, run, Some(percent), text.as_deref(), now_ms))? {
        return Ok(exit::OK);
    }
    Err(Error::Refused(format!("run {run} does not own job {job} any more; stop what you are doing")))
}

/// Reads a number from the environment that tenure gives to a job.
pub fn inside(name: &str) -> Result<i64> {
    let missing = || Error::Invalid(format!("{name} is not set: this works inside a job of tenure only"));
    std::env::var(name).ok().and_then(|text| text.parse().ok()).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_goes_from_0_to_100() {
        assert_eq!(parse_percent("40"), Ok(40.0));
        assert_eq!(parse_percent("99.5%"), Ok(99.5));
        for text in ["", "%", "-1", "101", "nan", "inf", "x", "\x1b"] {
            assert!(parse_percent(text).is_err(), "{text:?}");
        }
    }
}
