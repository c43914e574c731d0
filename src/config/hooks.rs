//! `[hooks]` of the configuration: commands that tell of the end of jobs, for all jobs or for those
//! that a table below it selects.
//!
//! ```toml
//! [hooks]
//! on_failure = "mail -s \"job $TENURE_JOB failed\" me < \"$TENURE_LOG\""
//!
//! [hooks.deploys]
//! queue = "deploy*"
//! reason = ["timeout", "lost"]
//! on_end = ["/usr/local/bin/tell", "deploys"]
//! ```

use toml::{Table, Value};

use crate::job::hook::{HookEvent, HookRule};
use crate::job::{Argv, Reason, names};
use crate::units::shorten;

/// The name of the rules that stand in `[hooks]` itself.
const OF_ALL: &str = "hooks";
/// Most tables below `[hooks]`.
const TABLES_MAX: usize = 100;
const KEYS: &str = "on_failure, on_success, on_end, queue, label and reason";

/// Reads the table.
///
/// # Errors
/// What is wrong, with the key.
pub(super) fn parse(table: Table) -> Result<Vec<HookRule>, String> {
    let (tables, own): (Table, Table) = table.into_iter().partition(|(_, value)| value.is_table());
    if tables.len() > TABLES_MAX {
        return Err(format!("hooks: it has {} tables, {TABLES_MAX} at most", tables.len()));
    }
    let mut rules = of_table(OF_ALL, "hooks", own, false)?;
    for (name, value) in tables {
        let key = format!("hooks.{}", shorten(&name));
        names::plain(&name).map_err(|e| format!("{key}: {e}"))?;
        if name == OF_ALL || HookEvent::parse(&name).is_some() {
            return Err(format!("{key}: a table needs another name"));
        }
        let Value::Table(inner) = value else { continue };
        rules.extend(of_table(&name, &key, inner, true)?);
    }
    Ok(rules)
}

/// Reads the rules of one table: one for each event.
fn of_table(name: &str, key: &str, mut table: Table, may_select: bool) -> Result<Vec<HookRule>, String> {
    let (mut queue, mut label, mut reasons) = (None, None, Vec::new());
    if may_select {
        queue = pattern(&mut table, key, "queue")?;
        label = pattern(&mut table, key, "label")?;
        reasons = take_reasons(&mut table, key)?;
    }
    let mut rules = Vec::new();
    for (word, value) in table {
        let Some(event) = HookEvent::parse(&word) else {
            let known = if may_select { KEYS } else { "on_failure, on_success and on_end, and tables" };
            return Err(format!("{key}: {:?} is not known; it has {known}", shorten(&word)));
        };
        let command = command(value).map_err(|e| format!("{key}.{word}: {e}"))?;
        let (queue, label, reasons) = (queue.clone(), label.clone(), reasons.clone());
        rules.push(HookRule { name: name.to_owned(), event, command, queue, label, reasons });
    }
    if may_select && rules.is_empty() {
        return Err(format!("{key}: it has no command; give on_failure, on_success or on_end"));
    }
    Ok(rules)
}

fn pattern(table: &mut Table, key: &str, name: &str) -> Result<Option<String>, String> {
    match table.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => names::label(&text).map(|()| Some(text)).map_err(|e| format!("{key}.{name}: {e}")),
        Some(_) => Err(format!("{key}.{name}: expected a pattern in quotes, such as \"nightly*\"")),
    }
}

fn take_reasons(table: &mut Table, key: &str) -> Result<Vec<Reason>, String> {
    let all = match table.remove("reason") {
        None => return Ok(Vec::new()),
        Some(Value::Array(all)) => all,
        Some(one) => vec![one],
    };
    let one = |value: &Value| {
        let known = || Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>().join(", ");
        let found = value.as_str().and_then(Reason::parse);
        found.ok_or_else(|| format!("{key}.reason: {} is not an end reason; they are {}", shown(value), known()))
    };
    all.iter().map(one).collect()
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.type_str().to_owned(), |text| format!("{:?}", shorten(text)))
}

fn command(value: Value) -> Result<Argv, String> {
    let wrong = || "expected a line for the shell in quotes, or an array of strings".to_owned();
    match value {
        Value::String(line) => Argv::shell(line).map_err(|e| e.to_string()),
        Value::Array(all) => {
            let one = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(wrong);
            Argv::from_strs(&all.iter().map(one).collect::<Result<Vec<_>, _>>()?).map_err(|e| e.to_string())
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<HookRule>, String> {
        parse(toml::from_str(text).unwrap())
    }

    #[test]
    fn rules_are_read_with_what_they_select() {
        let text = "on_failure = \"tell me\"\n[deploys]\nqueue = \"d*\"\nlabel = \"x\"\nreason = [\"timeout\", \"lost\"]\non_end = [\"a\", \"b\"]\n[other]\nreason = \"exit\"\non_success = \"true\"";
        let rules = read(text).unwrap();
        assert_eq!(rules.len(), 3);
        let all = HookRule {
            name: "hooks".into(),
            event: HookEvent::OnFailure,
            command: Argv::shell("tell me").unwrap(),
            queue: None,
            label: None,
            reasons: Vec::new(),
        };
        assert_eq!(rules[0], all);
        let deploys = HookRule {
            name: "deploys".into(),
            event: HookEvent::OnEnd,
            command: Argv::from_strs(&["a", "b"]).unwrap(),
            queue: Some("d*".into()),
            label: Some("x".into()),
            reasons: vec![Reason::Timeout, Reason::Lost],
        };
        assert_eq!(rules[1], deploys);
        assert_eq!(rules[2].reasons, [Reason::Exit]);
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_key() {
        let cases = [
            ("on_fail = \"x\"", "hooks: \"on_fail\" is not known"),
            ("queue = \"x\"", "hooks: \"queue\" is not known"),
            ("on_end = \" \"", "hooks.on_end: the command is empty"),
            ("on_end = 3", "hooks.on_end: expected a line"),
            ("on_end = [3]", "hooks.on_end: expected a line"),
            ("on_end = []", "hooks.on_end: the command is empty"),
            ("on_end = \"a\\u0000\"", "hooks.on_end: argument 2 contains a NUL"),
            ("[a]\nqueue = \"x\"", "hooks.a: it has no command"),
            ("[a]\nqueue = 3\non_end = \"x\"", "hooks.a.queue: expected a pattern"),
            ("[a]\nlabel = \"\"\non_end = \"x\"", "hooks.a.label: "),
            ("[a]\nreason = \"bad\"\non_end = \"x\"", "hooks.a.reason: "),
            ("[a]\nwhen = \"x\"\non_end = \"x\"", "hooks.a: \"when\" is not known"),
            ("[hooks]\non_end = \"x\"", "hooks.hooks: a table needs another name"),
            ("[\"a\\nb\"]\non_end = \"x\"", "hooks."),
        ];
        for (text, words) in cases {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(words), "{text:?}: {error}");
        }
    }
}
