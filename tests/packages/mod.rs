//! The Debian package: what is in it, and that it is what it was. `packaging/deb/test.sh` installs, upgrades and removes it.

mod monitoring;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::untested::not_tested;
use crate::support::{Nest, said};

/// All but pages: of these there is one for each verb, and one for each subject.
const CONTENTS: &[&str] = &[
    "-rw-r--r-- ./etc/tenure/config.toml",
    "-rw-r--r-- ./usr/lib/systemd/system/tenure-web.service",
    "-rw-r--r-- ./usr/lib/systemd/system/tenure-web@.service",
    "-rw-r--r-- ./usr/lib/systemd/system/tenure.service",
    "-rw-r--r-- ./usr/lib/systemd/system/tenure@.service",
    "-rw-r--r-- ./usr/lib/systemd/system/tenure@_tenure.service.d/hardening.conf",
    "-rw-r--r-- ./usr/lib/systemd/user/tenure-web.service",
    "-rw-r--r-- ./usr/lib/systemd/user/tenure.service",
    "-rw-r--r-- ./usr/lib/sysusers.d/tenure.conf",
    "-rw-r--r-- ./usr/lib/tmpfiles.d/tenure.conf",
    "-rw-r--r-- ./usr/share/bash-completion/completions/tenure",
    "-rw-r--r-- ./usr/share/fish/vendor_completions.d/tenure.fish",
    "-rw-r--r-- ./usr/share/lintian/overrides/tenure",
    "-rw-r--r-- ./usr/share/zsh/vendor-completions/_tenure",
    "-rwxr-xr-x ./usr/bin/tenure",
];
const PAGES: &[&str] = &["./usr/share/man/man1/", "./usr/share/doc/tenure/"];
/// The units, and what of each is verified: of a template, that of a user.
const UNITS: &[(&str, &str)] = &[
    ("tenure.service", "system/tenure.service"),
    ("tenure@.service", "system/tenure@_tenure.service"),
    ("tenure-web.service", "system/tenure-web.service"),
    ("tenure-web@.service", "system/tenure-web@_tenure.service"),
    ("user/tenure.service", "user/tenure.service"),
    ("user/tenure-web.service", "user/tenure-web.service"),
];
const SCRIPTS: &[&str] = &["postinst", "prerm", "postrm", "build.sh"];
const SCRIPTS_OF_BASH: &[&str] = &["test.sh", "guest", "../monitoring/test.sh", "../mcp/inspect.sh"];

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

/// Whether a program is there; told where not.
fn has(program: &str, what: &str) -> bool {
    let has = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success();
    if !has {
        not_tested(what, program);
    }
    has
}

/// Builds the package of the program that was just built.
fn build(out: &Path) -> PathBuf {
    let mut script = Command::new(source("deb/build.sh"));
    script.args(["--binary", env!("CARGO_BIN_EXE_tenure"), "--compress", "none", "--out"]).arg(out);
    let built = said(script.env("SOURCE_DATE_EPOCH", "1780000000").output().unwrap());
    assert_eq!(built.code, 0, "{built:?}");
    PathBuf::from(built.out.trim())
}

fn dpkg_deb(args: &[&str], deb: &Path) -> String {
    let read = said(Command::new("dpkg-deb").args(args).arg(deb).output().unwrap());
    assert_eq!(read.code, 0, "{read:?}");
    read.out
}

#[test]
fn a_package_is_the_same_each_time_and_holds_what_it_should() {
    if !has("dpkg-deb", "the Debian package") || !has("objdump", "the Debian package") {
        return;
    }
    let nest = Nest::new();
    let (one, two) = (build(&nest.file("one")), build(&nest.file("two")));
    assert!(std::fs::read(&one).unwrap() == std::fs::read(&two).unwrap(), "the two packages differ");

    let listed = dpkg_deb(&["--contents"], &one);
    let mut files = Vec::new();
    for line in listed.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[1], "root/root", "{line}");
        let is_directory = words[0].starts_with('d');
        assert!(!is_directory || words[0] == "drwxr-xr-x", "{line}");
        if !is_directory {
            files.push(format!("{} {}", words[0], words[5]));
        }
    }
    let (pages, mut others): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| PAGES.iter().any(|page| file.contains(page)));
    others.sort();
    assert_eq!(others, CONTENTS);
    for page in ["man1/tenure.1.gz", "man1/tenure-queue-set.1.gz", "doc/tenure/copyright", "doc/tenure/docs/install.md"] {
        assert!(pages.iter().any(|file| file.ends_with(page)), "{page} is not in {pages:?}");
    }

    let control = dpkg_deb(&["--field"], &one);
    assert!(control.contains(&format!("Version: {}-1\n", env!("CARGO_PKG_VERSION"))), "{control}");
    assert!(control.contains("Depends: libc6 (>= 2."), "{control}");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    if !has("systemd-analyze", "the units") {
        return;
    }
    let nest = Nest::new();
    let hardening = nest.file("system/tenure@_tenure.service.d/hardening.conf");
    std::fs::create_dir_all(hardening.parent().unwrap()).unwrap();
    std::fs::create_dir(nest.file("user")).unwrap();
    std::fs::copy(source("hardening.conf"), hardening).unwrap();
    for (from, verified) in UNITS {
        let unit = std::fs::read_to_string(source(from)).unwrap();
        let to = nest.file(&verified.replace("@_tenure", "@"));
        std::fs::write(to, unit.replace("/usr/local/bin/tenure", env!("CARGO_BIN_EXE_tenure"))).unwrap();
    }
    for (_, unit) in UNITS {
        let mut analyze = Command::new("systemd-analyze");
        if unit.starts_with("user/") {
            analyze.arg("--user").env("XDG_RUNTIME_DIR", nest.path());
        }
        let verified = said(analyze.args(["verify", "--man=no"]).arg(nest.file(unit)).output().unwrap());
        // What systemd before 254 does not know, it ignores.
        let ours: Vec<&str> =
            verified.err.lines().filter(|line| line.contains("tenure") && !line.contains("DelegateSubgroup")).collect();
        assert!(verified.code == 0 && ours.is_empty(), "{unit}: {verified:?}");
    }
}

#[test]
fn the_scripts_of_the_package_are_shell_without_complaints() {
    let check = |shell: &str, name: &str| {
        let parsed = said(Command::new(shell).arg("-n").arg(source("deb").join(name)).output().unwrap());
        assert_eq!((parsed.code, parsed.err.as_str()), (0, ""), "{name}");
    };
    SCRIPTS.iter().for_each(|name| check("sh", name));
    SCRIPTS_OF_BASH.iter().for_each(|name| check("bash", name));
    if !has("shellcheck", "what shellcheck says of the scripts") {
        return;
    }
    for (shell, names) in [("sh", SCRIPTS), ("bash", SCRIPTS_OF_BASH)] {
        let paths = names.iter().map(|name| source("deb").join(name));
        let checked = said(Command::new("shellcheck").args(["-s", shell]).args(paths).output().unwrap());
        assert_eq!(checked.code, 0, "{}", checked.out);
    }
}

/// The values of settings by their names, with a file of settings.
fn settings(nest: &Nest, file: &Path) -> Value {
    let ran = said(nest.tenure(&["config", "--json"]).env("TENURE_CONFIG", file).output().unwrap());
    assert_eq!(ran.code, 0, "{}: {ran:?}", file.display());
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn the_conffile_shows_every_setting_and_changes_none() {
    let nest = Nest::new();
    let shipped = source("deb/config.toml");
    let text = std::fs::read_to_string(&shipped).unwrap();
    for key in tenure::config::keys::KEYS {
        let is_shown = |line: &&str| {
            line.strip_prefix('#').is_some_and(|line| line.starts_with(key) && line[key.len()..].starts_with([' ', '.']))
        };
        assert_eq!(text.lines().filter(is_shown).count(), 1, "{key}");
    }
    std::fs::write(nest.file("none.toml"), "").unwrap();
    let (with, without) = (settings(&nest, &shipped), settings(&nest, &nest.file("none.toml")));
    assert_eq!(with["settings"], without["settings"]);
    // Without the marks of comments it is a configuration, too.
    let plain: String = text
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(""))
        .fold(String::new(), |all, line| all + line + "\n");
    std::fs::write(nest.file("all.toml"), plain).unwrap();
    let all = settings(&nest, &nest.file("all.toml"));
    for line in text.lines().filter(|line| line.starts_with('#') && !line.starts_with("# ") && !line.contains("default:")) {
        let key = line[1..].split(" = ").next().unwrap();
        let of = |all: &Value| all["settings"][key]["value"].clone();
        assert_eq!(of(&all), of(&without), "{line} is not the default");
    }
}
