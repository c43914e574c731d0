//! How the keys of a line of `add --from` set the options of a job.
//!
//! Pure. Each function returns a setter for one kind of option, which [`super::job_options`] names
//! beside its clap definition. A text is parsed by the function that parses the argument of the
//! command line; JSON adds lists, numbers and flags.

use serde_json::{Map, Value};

use crate::job::policy::RetryOn;
use crate::job::{Argv, JobId, Need, check, pool};
use crate::parse::select::{Part, Selector};
use crate::parse::values;
use crate::units;

/// Names of lines that a line depends on.
pub type Refs = Vec<(String, Need)>;

/// The outcome of setting an option.
pub type Done = Result<(), String>;

/// An option with a text.
pub fn text<T>(parse: impl Fn(&str) -> Result<T, String>) -> impl Fn(&mut Option<T>, &Value, &mut Refs) -> Done {
    move |option, value, _| {
        *option = Some(parse(string(value)?)?);
        Ok(())
    }
}

/// An option with a whole number.
pub fn whole<T: TryFrom<i64>>(option: &mut Option<T>, value: &Value, _: &mut Refs) -> Done {
    let number = value.as_i64().and_then(|n| T::try_from(n).ok());
    *option = Some(number.ok_or_else(|| is_not(value, "a whole number, or it is too large"))?);
    Ok(())
}

/// An option with a count.
pub fn count(option: &mut Option<u32>, value: &Value, _: &mut Refs) -> Done {
    let number = value.as_u64().and_then(|n| u32::try_from(n).ok());
    *option = Some(number.ok_or_else(|| is_not(value, "a whole number that is not negative, or it is too large"))?);
    Ok(())
}

/// The number of retries.
pub fn retries(option: &mut Option<u32>, value: &Value, refs: &mut Refs) -> Done {
    count(option, value, refs)?;
    option.map_or(Ok(0), check::attempts_of).map(drop)
}

/// The number of slots.
pub fn slots(option: &mut Option<u32>, value: &Value, refs: &mut Refs) -> Done {
    count(option, value, refs)?;
    option.map_or(Ok(()), check::slots)
}

/// What it uses of each pool: an object, or the text of the option.
pub fn uses(option: &mut Vec<(String, u32)>, value: &Value, _: &mut Refs) -> Done {
    match value {
        Value::String(text) => option.push(pool::parse_use(text)?),
        Value::Object(all) => {
            for (name, amount) in all {
                option.push(pool::parse_use(&format!("{name}={amount}"))?);
            }
        }
        other => return Err(is_not(other, "an object, such as {\"gpu\": 1}")),
    }
    Ok(())
}

/// An option without a value.
pub fn flag(option: &mut bool, value: &Value, _: &mut Refs) -> Done {
    *option = value.as_bool().ok_or_else(|| is_not(value, "true or false"))?;
    Ok(())
}

/// An option that takes a command: a string for the shell, or an argv.
pub fn command(option: &mut Option<Argv>, value: &Value, _: &mut Refs) -> Done {
    *option = Some(command_of(value)?);
    Ok(())
}

/// Exit codes and end reasons: a list, one of them, or the text of the option.
pub fn endings<T: From<Vec<RetryOn>>>(option: &mut Option<T>, value: &Value, _: &mut Refs) -> Done {
    let one = |item: &Value| match item {
        Value::Number(number) => values::retry_on(&number.to_string()),
        Value::String(word) => values::retry_on(word),
        other => Err(format!("{other} is not an exit code or an end reason")),
    };
    let list = match value {
        Value::String(list) => values::parse_retry_on(list)?,
        Value::Array(items) => items.iter().map(one).collect::<Result<_, _>>()?,
        other => vec![one(other)?],
    };
    *option = Some(list.into());
    Ok(())
}

/// An option with a size.
pub fn size(option: &mut Option<u64>, value: &Value, _: &mut Refs) -> Done {
    *option = Some(bytes(value)?);
    Ok(())
}

/// The limit of the memory.
pub fn memory(option: &mut Option<u64>, value: &Value, _: &mut Refs) -> Done {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let checked = values::check_memory(bytes(value)?, &text);
    *option = Some(checked.map_err(|e| e.trim_start_matches("memory: ").to_owned())?);
    Ok(())
}

/// Variables, in addition to those that are set.
pub fn variables(option: &mut Vec<(String, String)>, value: &Value, _: &mut Refs) -> Done {
    let all: &Map<String, Value> = value.as_object().ok_or_else(|| is_not(value, "an object, such as {\"NAME\": \"value\"}"))?;
    for (name, value) in all {
        let text = value.as_str().ok_or_else(|| format!("the value of {name:?} must be a string"))?;
        values::check_env(name, text)?;
        option.push((name.clone(), text.to_owned()));
    }
    Ok(())
}

/// Names of variables, in addition to those that are given.
pub fn names(option: &mut Vec<String>, value: &Value, _: &mut Refs) -> Done {
    let all = match value {
        Value::String(one) => vec![one.as_str()],
        Value::Array(items) => {
            items.iter().map(|item| item.as_str().ok_or_else(|| format!("{item} is not a string"))).collect::<Result<_, _>>()?
        }
        other => return Err(format!("{other} is not a list of strings")),
    };
    for name in all {
        option.push(values::parse_passed_name(name)?);
    }
    Ok(())
}

/// A path.
pub fn path<T: for<'a> From<&'a str>>(option: &mut Option<T>, value: &Value, _: &mut Refs) -> Done {
    *option = Some(string(value)?.into());
    Ok(())
}

/// The file of the standard input.
pub fn stdin<T: for<'a> From<&'a str>>(option: &mut Option<T>, value: &Value, refs: &mut Refs) -> Done {
    match string(value)? {
        "-" => Err("a line cannot take it from the terminal; name a file".into()),
        _ => path(option, value, refs),
    }
}

/// Jobs to wait for: numbers are jobs of the file, strings are refs of earlier lines.
pub fn jobs(need: Need) -> impl Fn(&mut Vec<Selector>, &Value, &mut Refs) -> Done {
    move |option, value, refs| {
        let single = std::slice::from_ref(value);
        let mut parts = Vec::new();
        for item in value.as_array().map_or(single, Vec::as_slice) {
            match item {
                Value::Number(number) => match number.as_i64() {
                    Some(id) if id > 0 => parts.push(Part::One(JobId(id))),
                    _ => return Err(format!("{number} is not a job")),
                },
                Value::String(name) => refs.push((name.clone(), need)),
                other => return Err(format!("{other} is not a job or a ref; write [3] or [\"a\"]")),
            }
        }
        *option = vec![Selector(parts)];
        Ok(())
    }
}

/// Returns the command of an option: a string for the shell, or an argv.
pub fn command_of(value: &Value) -> Result<Argv, String> {
    match value {
        Value::String(line) => values::parse_shell(line),
        other => argv_of(other),
    }
}

/// Returns the command of a job.
pub fn argv_of(value: &Value) -> Result<Argv, String> {
    match value {
        Value::String(line) => Err(format!(
            "a command is a JSON array of strings; for the shell write \"shell\": {}",
            Value::from(values::shorten(line))
        )),
        other => Argv::from_json(&other.to_string()).map_err(|e| e.to_string()),
    }
}

/// Returns a text.
pub fn string(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| is_not(value, "a string; put it in quotes"))
}

fn bytes(value: &Value) -> Result<u64, String> {
    match value {
        Value::Number(number) => number.as_u64().ok_or_else(|| format!("{number} is not a number of bytes")),
        Value::String(text) => units::parse_size(text),
        other => Err(format!("{other} is not a size; write it as \"2G\" or a number of bytes")),
    }
}

fn is_not(value: &Value, expected: &str) -> String {
    let shown = match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => values::shorten(&other.to_string()).to_string(),
    };
    format!("{shown} is not {expected}")
}
