use clap::CommandFactory;

use super::*;

fn built() -> Command {
    let mut root = crate::cli::Cli::command();
    root.build();
    root
}

#[test]
fn every_verb_has_a_page_with_all_sections() {
    let root = built();
    let paths = paths(&root);
    assert!(paths.len() > 60, "{}", paths.len());
    for path in &paths {
        let page = page(&root, path);
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "SEE ALSO"] {
            assert!(page.contains(&format!("\n.SH {section}\n")), "{path:?} lacks {section}");
        }
        let typed = examples::of(path)[0].1;
        assert!(page.contains(&plain(typed)), "{path:?} lacks {typed}");
        assert!(page.contains(&format!("{} \\- ", plain(&name(path)))), "{path:?}");
        let of_command = ENDS_WITH_COMMAND.contains(&path.join(" ").as_str()) || path.is_empty();
        assert_eq!(page.contains("124"), of_command, "{path:?}");
    }
}

#[test]
fn each_reference_of_a_page_is_a_page() {
    let root = built();
    let names: Vec<String> = paths(&root).iter().map(|path| plain(&name(path))).collect();
    for path in paths(&root) {
        let page = page(&root, &path);
        let (_, see) = page.split_once(".SH SEE ALSO\n").expect("a section");
        let named: Vec<&str> = see.lines().filter_map(|line| line.strip_prefix(".BR ")?.split(' ').next()).collect();
        assert!(!named.is_empty() && !named.contains(&plain(&name(&path)).as_str()), "{path:?}: {named:?}");
        assert!(path.is_empty() || named.iter().all(|other| names.contains(&(*other).to_owned())), "{path:?}: {named:?}");
    }
}

#[test]
fn the_page_of_the_program_lists_every_verb() {
    let root = built();
    let page = page(&root, &[]);
    for (heading, verbs) in groups::verbs(&root) {
        assert!(page.contains(&format!("\n.SS {}\n", plain(heading))), "{heading}");
        assert!(verbs.iter().all(|(verb, _)| page.contains(&format!("\\fBtenure\\-{verb}\\fR(1)"))), "{heading}");
    }
}

#[test]
fn an_option_has_its_whole_text_and_its_values_in_help_order() {
    let page = page(&built(), &["add".into()]);
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is not in {page}"));
    assert!(page.contains("\\fB\\-\\-at\\fR \\fITIME\\fR\n"), "{page}");
    assert!(page.contains("TENURE_ARRAY_INDEX"), "the second paragraph");
    assert!(at(".SH ARGUMENTS") < at(".SH OPTIONS") && at(".SH OPTIONS") < at(".SH LIMITS"), "{page}");
    assert!(at(".SH LIMITS") < at(".SH OPTIONS OF EVERY VERB"), "{page}");
}

#[test]
fn text_is_not_a_command_to_the_formatter() {
    assert_eq!(plain(".sp 'x'"), "\\&.sp \\(aqx\\(aq");
    assert_eq!(plain("'br"), "\\&\\(aqbr");
    assert_eq!(plain("a\\fB-c `~^\""), "a\\efB\\-c \\(ga\\(ti\\(ha\\(dq");
}
