//! `docs/resources.md` says what is so: its commands are run, in their order.

use crate::support::Nest;

#[test]
fn every_command_of_the_page_does_what_the_page_says() {
    let nest = Nest::new();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/resources.md")).unwrap();
    let blocks: Vec<&str> = page.split("```sh\n").skip(1).map(|rest| rest.split_once("```").expect("an end").0).collect();
    assert!(blocks.len() >= 4);
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_tenure")).parent().unwrap().display();
    for block in blocks {
        let mut shell = std::process::Command::new("bash");
        shell.args(["-e", "-c", block]).current_dir(nest.path()).env_clear();
        shell.env("PATH", format!("{bin}:/usr/bin:/bin")).env("TENURE_DB", nest.db()).env("HOME", nest.path());
        let said = crate::support::said(shell.stdin(std::process::Stdio::null()).output().unwrap());
        assert_eq!(said.code, 0, "{block}\n{said:?}");
    }
    assert_eq!(crate::resources::thing::listed(&nest, false).len(), 0, "and everything is gone");
}
