//! The variables of a job's or a resource's commands.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::parse::values;

/// Heading of these and related options in the help.
pub const WHERE: &str = "Where and with what it runs";

/// Options of every verb that describes a command which runs later.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
pub struct Variables {
    /// Set a variable; may be given several times
    #[arg(short = 'e', long, value_name = "NAME=VALUE", value_parser = OsStringValueParser::new().try_map(values::parse_env), help_heading = WHERE)]
    pub env: Vec<(String, String)>,
    /// Pass this variable of the present environment
    ///
    /// May be given several times.
    #[arg(long, value_name = "NAME", value_parser = values::parse_passed_name, help_heading = WHERE)]
    pub pass_env: Vec<String>,
}

impl Variables {
    /// Returns the variables; one that is set replaces one that is passed.
    ///
    /// # Errors
    /// A variable to pass is not set here, or is not UTF-8.
    pub fn read(&self, env: &BTreeMap<OsString, OsString>) -> Result<BTreeMap<String, String>, String> {
        let passed = |name: &String| {
            let value = variable(env, name).map_err(|e| format!("--pass-env: {e}"))?;
            Ok((name.clone(), value))
        };
        let mut all = self.pass_env.iter().map(passed).collect::<Result<BTreeMap<_, _>, String>>()?;
        all.extend(self.env.iter().cloned());
        Ok(all)
    }
}

/// Returns the value of a variable of this process.
///
/// # Errors
/// It is not set or is not UTF-8.
pub fn variable(env: &BTreeMap<OsString, OsString>, name: &str) -> Result<String, String> {
    let value = env.get(OsStr::new(name));
    let value = value.ok_or_else(|| format!("the variable {name:?} is not set here; set it, or omit it"))?;
    let text = value.to_str().ok_or_else(|| format!("the value of {name:?} is not UTF-8; put it in a file instead"))?;
    values::check_env(name, text)?;
    Ok(text.to_owned())
}
