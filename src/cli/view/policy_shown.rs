//! The policy and the environment of a job or a template, for people.

use crate::cli::parse::values::signal_name;
use crate::cli::view::escape;
use crate::job::Policy;
use crate::job::policy::Stdin;
use crate::units::{duration_text, size_text};

/// Returns the variables of a JSON object, as a shell takes them.
pub fn environment(env: &str) -> String {
    let map: std::collections::BTreeMap<String, String> = serde_json::from_str(env).unwrap_or_default();
    map.iter().map(|(name, value)| escape::quote_text(&format!("{name}={value}"))).collect::<Vec<_>>().join(" ")
}

/// Returns a row for each option of a policy (JSON). `memory_by`: what enforced the memory limit.
pub fn rows(policy: &str, memory_by: Option<&str>) -> Vec<(&'static str, Option<String>)> {
    let policy = match Policy::from_json(policy) {
        Ok(policy) => policy,
        Err(error) => return vec![("policy", Some(format!("cannot be read: {error}")))],
    };
    let Policy { timeout_ms, idle_timeout_ms, grace_ms, memory_bytes, .. } = policy;
    let stdin = policy.stdin.as_ref().map(|stdin| match stdin {
        Stdin::File(path) => path.clone(),
        Stdin::Kept(_) => "a copy, kept until its end".to_owned(),
    });
    vec![
        ("timeout", timeout_ms.map(duration_text)),
        ("idle timeout", idle_timeout_ms.map(duration_text)),
        ("grace", grace_ms.map(duration_text)),
        ("warn", policy.warn.map(|w| format!("{} {} before the timeout", signal_name(w.signal), duration_text(w.before_ms)))),
        ("backoff", policy.backoff_ms.map(|(first, most)| format!("{}..{}", duration_text(first), duration_text(most)))),
        ("memory", memory_bytes.map(|bytes| size_text(bytes) + kept_by(memory_by))),
        ("nice", policy.nice.map(|n| n.to_string())),
        ("user", policy.user.clone()),
        ("stdin", stdin),
        ("check", policy.check.as_ref().map(escape::quote)),
        ("on failure", policy.hooks.on_failure.as_ref().map(escape::quote)),
        ("on success", policy.hooks.on_success.as_ref().map(escape::quote)),
        ("on end", policy.hooks.on_end.as_ref().map(escape::quote)),
        ("workspace", policy.workspace.as_ref().map(|workspace| workspace.key.clone())),
        ("prepare", policy.workspace.as_ref().and_then(|workspace| workspace.prepare.as_ref()).map(escape::quote)),
        ("secrets", Some(policy.secrets.keys().cloned().collect::<Vec<_>>().join(", ")).filter(|names| !names.is_empty())),
    ]
}

fn kept_by(memory_by: Option<&str>) -> &'static str {
    match memory_by {
        Some("cgroup") => ", of all its processes together (cgroup)",
        Some("rlimit") => ", of each process by itself (rlimit): allocations above it fail",
        _ => "",
    }
}
