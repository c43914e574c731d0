//! The tools: what each does, and how `tools.json` describes it to a client.

use std::sync::{Arc, LazyLock};

use rmcp::model::{JsonObject, Tool as Described, ToolAnnotations};
use serde_json::{Map, Value};

use crate::mcp::add::add;
use crate::mcp::answer::{Answered, Failure};
use crate::mcp::arguments::Arguments;
use crate::mcp::cancel::cancel;
use crate::mcp::file::File;
use crate::mcp::logs::logs;
use crate::mcp::read::{list, show, why};

/// What a tool does.
#[derive(Clone, Copy)]
pub enum Act {
    /// A function of the file, on a thread of the file.
    Now(fn(&File, &Arguments) -> Answered),
    /// It takes the keys of a job.
    Add,
    /// It looks at the file again and again.
    Wait,
}

/// A tool.
pub struct Tool {
    pub name: &'static str,
    /// It is there only where something may be changed.
    pub changes: bool,
    /// Calling it twice is the same as calling it once.
    is_idempotent: bool,
    pub act: Act,
}

/// All tools.
pub const TOOLS: &[Tool] = &[
    Tool { name: "add", changes: true, is_idempotent: false, act: Act::Add },
    Tool { name: "list", changes: false, is_idempotent: true, act: Act::Now(list) },
    Tool { name: "show", changes: false, is_idempotent: true, act: Act::Now(show) },
    Tool { name: "wait", changes: false, is_idempotent: true, act: Act::Wait },
    Tool { name: "logs", changes: false, is_idempotent: true, act: Act::Now(logs) },
    Tool { name: "why", changes: false, is_idempotent: true, act: Act::Now(why) },
    Tool { name: "cancel", changes: true, is_idempotent: true, act: Act::Now(cancel) },
];

/// The descriptions: the text, and the schema of the arguments, by name.
static DESCRIPTIONS: LazyLock<Map<String, Value>> =
    LazyLock::new(|| serde_json::from_str(include_str!("tools.json")).unwrap_or_default());

impl Tool {
    /// Returns a tool by its name.
    pub fn of(name: &str) -> Option<&'static Self> {
        TOOLS.iter().find(|tool| tool.name == name)
    }

    /// Returns what a client is told.
    pub fn described(&self) -> Described {
        let text = self.description()["text"].as_str().unwrap_or_default();
        let hints = ToolAnnotations::new()
            .read_only(!self.changes)
            .destructive(self.name == "cancel")
            .idempotent(self.is_idempotent)
            // A job may be any command.
            .open_world(self.name == "add");
        Described::new(self.name, text, Arc::new(self.schema())).with_annotations(hints)
    }

    /// Returns the names of its arguments.
    pub fn arguments(&self) -> Vec<&'static str> {
        let known = self.description()["arguments"]["properties"].as_object();
        known.map(|all| all.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    fn description(&self) -> &'static Value {
        DESCRIPTIONS.get(self.name).unwrap_or(&Value::Null)
    }

    fn schema(&self) -> JsonObject {
        self.description()["arguments"].as_object().cloned().unwrap_or_default()
    }
}

/// Does what a tool does with the file.
pub fn act(file: &File, tool: &Tool, arguments: Map<String, Value>) -> Answered {
    match tool.act {
        Act::Now(act) => act(file, &Arguments::of(arguments, &tool.arguments())?),
        Act::Add => add(file, arguments),
        Act::Wait => Err(Failure::new("failed", "it waits elsewhere")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::add::REQUEST;
    use crate::mcp::limits::{LOG_LINES_DEFAULT, LOG_LINES_MAX, ROWS_DEFAULT, ROWS_MAX, WAIT_SECONDS_DEFAULT, WAIT_SECONDS_MAX};
    use crate::parse::job_options::KEYS;
    use crate::parse::objects::OF_A_COMMAND;
    use std::collections::BTreeSet;

    #[test]
    fn each_tool_is_described_and_nothing_else() {
        let described: BTreeSet<&str> = DESCRIPTIONS.keys().map(String::as_str).collect();
        assert_eq!(described, TOOLS.iter().map(|tool| tool.name).collect());
        for tool in TOOLS {
            let told = serde_json::to_value(tool.described()).unwrap();
            assert!(told["description"].as_str().is_some_and(|text| text.len() > 40 && text.len() < 1_200), "{told}");
            let schema = &told["inputSchema"];
            assert_eq!((&schema["type"], &schema["additionalProperties"]), (&"object".into(), &false.into()), "{told}");
            for (name, property) in schema["properties"].as_object().unwrap() {
                assert!(property["description"].as_str().is_some_and(|text| text.len() > 10), "{}: {name}", tool.name);
                assert!(property.get("type").is_some() || property.get("anyOf").is_some(), "{}: {name}", tool.name);
            }
            for name in schema["required"].as_array().into_iter().flatten() {
                assert!(tool.arguments().contains(&name.as_str().unwrap()), "{}: {name}", tool.name);
            }
        }
    }

    #[test]
    fn a_job_is_described_with_each_key_of_a_line() {
        let keys = KEYS.iter().map(|(name, _)| *name).filter(|name| !OF_A_COMMAND.contains(name));
        let expected: BTreeSet<&str> = keys.chain(["command", "shell", REQUEST]).collect();
        assert_eq!(Tool::of("add").unwrap().arguments().into_iter().collect::<BTreeSet<_>>(), expected);
    }

    #[test]
    fn the_limits_are_those_of_the_code() {
        let of = |tool: &str, name: &str| {
            let property = &Tool::of(tool).unwrap().described().input_schema["properties"][name];
            (property["maximum"].as_u64(), property["default"].as_u64())
        };
        assert_eq!(of("list", "limit"), (Some(ROWS_MAX), Some(ROWS_DEFAULT)));
        assert_eq!(of("wait", "seconds"), (Some(WAIT_SECONDS_MAX), Some(WAIT_SECONDS_DEFAULT)));
        assert_eq!(of("logs", "lines"), (Some(LOG_LINES_MAX), Some(LOG_LINES_DEFAULT)));
    }
}
