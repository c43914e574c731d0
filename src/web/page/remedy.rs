//! From the remedy of a finding, which is a command, to buttons that do the same. Pure.
//!
//! Only what a page can do becomes a button; the command itself is shown too.

use maud::{Markup, html};
use serde_json::Value;

use crate::web::page::documents::{rows, text};
use crate::web::page::parts::{Button, Ui, encoded, said};

/// What a button does: its name and path, its fields, and what is asked before.
type Action = (&'static str, String, &'static [(&'static str, &'static str)], Option<&'static str>);

/// Returns what the commands of a remedy do.
pub fn actions(remedy: &str) -> Vec<Action> {
    let commands = remedy.split("    #").next().unwrap_or("").split(';').flat_map(|part| part.split(", or "));
    commands.filter_map(|command| action(command.trim())).collect()
}

fn action(command: &str) -> Option<Action> {
    let words: Vec<&str> = command.strip_prefix("tenure ")?.split(' ').collect();
    // A name that a shell would quote is not a plain word.
    let is_plain = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !words.iter().all(is_plain) {
        return None;
    }
    let number = |word: &str| word.parse::<i64>().ok().filter(|n| *n > 0);
    let job = |id: &str, verb: &str| number(id).map(|id| format!("/jobs/{id}/{verb}"));
    const STOPS: &str = "Cancel this job?";
    Some(match words.as_slice() {
        ["resume"] => ("Resume all queues", "/resume".into(), &[], None),
        ["seen"] => ("Mark as seen", "/seen".into(), &[], None),
        ["queue", "resume", name] | ["queue", "resume", "--", name] => {
            ("Resume the queue", format!("/queues/{}/resume", encoded(name)), &[], None)
        }
        ["schedule", "resume", name] => ("Resume the schedule", format!("/schedules/{}/resume", encoded(name)), &[], None),
        ["release", id] => ("Release", job(id, "release")?, &[], None),
        ["resume", id] => ("Resume", job(id, "resume")?, &[], None),
        ["retry", id] => ("Retry", job(id, "retry")?, &[], None),
        ["retry", id, "--with-dependants"] => {
            ("Retry with its dependants", job(id, "retry")?, &[("with_dependants", "true")], None)
        }
        ["cancel", id] => ("Cancel", job(id, "cancel")?, &[], Some(STOPS)),
        ["resource", "release", id] => ("Tear down now", format!("/resources/{}/release", number(id)?), &[], None),
        ["resource", "release", id, "--force"] => (
            "It is gone",
            format!("/resources/{}/gone", number(id)?),
            &[],
            Some("Record this resource as released, because you have removed it by hand?"),
        ),
        _ => return None,
    })
}

/// Shows findings with their remedies. `back`: the page that is shown after a button.
pub fn list(ui: &Ui<'_>, findings: &[Value], back: &str) -> Markup {
    html! {
        ul.findings {
            @for one in findings {
                li {
                    p { (ui.linked(text(one, "text"))) }
                    @if let Some(remedy) = one["remedy"].as_str() {
                        div.row {
                            code { (said(remedy)) }
                            @for (name, path, fields, asks) in actions(remedy) {
                                (ui.button(&Button { path, name, back, fields, asks, ..Button::default() }))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Shows the problems of an overview; nothing if there are none.
pub fn problems(ui: &Ui<'_>, status: &Value, back: &str) -> Markup {
    let problems = rows(status, "problems");
    html! {
        @if !problems.is_empty() {
            section.problems aria-labelledby="problems" {
                h2 #problems { "Problems" }
                (list(ui, problems, back))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_becomes_the_buttons_that_do_it() {
        let paths = |remedy: &str| actions(remedy).into_iter().map(|(_, path, _, _)| path).collect::<Vec<_>>();
        assert_eq!(paths("tenure resume"), ["/resume"]);
        assert_eq!(paths("tenure show 3,4; tenure seen"), ["/seen"]);
        assert_eq!(paths("tenure queue resume mail"), ["/queues/mail/resume"]);
        assert_eq!(paths("tenure queue resume -- -q"), ["/queues/-q/resume"]);
        assert_eq!(
            paths(
                "tenure resource release 7 --force    # after you have removed it by hand; without --force it is tried again now"
            ),
            ["/resources/7/gone"]
        );
        assert_eq!(actions("tenure retry 7 --with-dependants")[0].2, [("with_dependants", "true")]);
    }

    #[test]
    fn what_a_page_cannot_do_is_no_button() {
        for remedy in [
            "tenure work",
            "kill 7",
            "tenure queue resume 'a b'",
            "tenure release x",
            "tenure cancel -1 ",
            "rm -rf /",
            "",
            "tenure ",
        ] {
            assert!(actions(remedy).is_empty(), "{remedy}");
        }
    }
}
