//! Reads a crontab by the rules of cron: variables, fields, `%` in commands, and the user of a
//! system crontab.
//!
//! Pure. What a schedule can do of it is decided by `tenure schedule import`.

use crate::job::cron_line::mix;

/// Largest crontab, in bytes.
pub const BYTES_MAX: usize = 1 << 20;
/// Longest part of a name that comes from the command, in characters.
const NAME_PART_MAX: usize = 40;
/// Words before a command that only change how it runs.
const WRAPPERS: &[&str] = &[
    "chronic",
    "command",
    "env",
    "exec",
    "flock",
    "ionice",
    "nice",
    "nohup",
    "setsid",
    "sudo",
    "systemd-cat",
    "time",
    "timeout",
];
/// Programs that run the file that is their first argument.
const INTERPRETERS: &[&str] = &["bash", "dash", "node", "perl", "php", "python", "python2", "python3", "ruby", "sh", "zsh"];

/// A line with its number, which counts from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub line: usize,
    pub text: String,
    pub what: What,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Of the commands below it.
    Variable {
        name: String,
        value: String,
    },
    Job(CronJob),
    /// Why it cannot be read.
    Wrong(String),
}

/// A line that runs a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronJob {
    /// Five fields, or a name.
    pub cron: String,
    /// Of a system crontab.
    pub user: Option<String>,
    /// For the shell.
    pub command: String,
    /// What stands after a `%`.
    pub stdin: Option<String>,
}

impl CronJob {
    /// Returns a name that says what it runs, and is the same whenever this line is read.
    pub fn name(&self) -> String {
        let parts =
            [&self.cron, self.user.as_deref().unwrap_or_default(), &self.command, self.stdin.as_deref().unwrap_or_default()];
        let hash = parts.iter().flat_map(|part| part.bytes().chain([0])).fold(0, |hash, byte| mix(hash, u64::from(byte)));
        format!("{}-{:06x}", word(&self.command), hash & 0xff_ffff)
    }
}

/// Reads the lines that are neither blank nor comments.
pub fn read(text: &[u8], is_of_system: bool) -> Vec<Entry> {
    let entry = |(at, bytes): (usize, &[u8])| {
        let text = String::from_utf8_lossy(bytes).trim_end_matches('\r').to_owned();
        let what = match std::str::from_utf8(bytes) {
            Err(_) => What::Wrong("it is not UTF-8".to_owned()),
            Ok(line) if line.contains('\0') => What::Wrong("it has a NUL byte".to_owned()),
            Ok(line) => what(line.trim_end_matches('\r').trim_start(), is_of_system)?,
        };
        Some(Entry { line: at + 1, text, what })
    };
    text.split(|byte| *byte == b'\n').enumerate().filter_map(entry).collect()
}

/// `None`: a blank line or a comment.
fn what(line: &str, is_of_system: bool) -> Option<What> {
    if line.trim().is_empty() || line.starts_with('#') {
        return None;
    }
    if let Some((name, value)) = variable(line) {
        return Some(What::Variable { name, value });
    }
    Some(job(line, is_of_system).map_or_else(What::Wrong, What::Job))
}

/// Reads `NAME = value`, where both may be in quotes. Nothing is expanded.
fn variable(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let name = unquoted(name.trim());
    let is_name = !name.is_empty() && !name.contains(char::is_whitespace) && !name.contains(['*', '@', '%']);
    is_name.then(|| (name.to_owned(), unquoted(value.trim()).to_owned()))
}

fn unquoted(text: &str) -> &str {
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}

fn job(line: &str, is_of_system: bool) -> Result<CronJob, String> {
    // A minus sign before the fields keeps the run out of the log of cron.
    let mut rest = line.strip_prefix('-').unwrap_or(line);
    let fields = match line.starts_with('@') {
        true if line.to_ascii_lowercase().starts_with("@every ") => 2,
        true => 1,
        false => 5,
    };
    let mut cron = Vec::new();
    for _ in 0..fields {
        cron.push(next_word(&mut rest).ok_or("it has fewer than five fields and a command")?);
    }
    let user = match is_of_system {
        true => {
            Some(next_word(&mut rest).ok_or("the user is missing, which a system crontab names before the command")?.to_owned())
        }
        false => None,
    };
    let (command, stdin) = percents(rest.trim_start());
    if command.trim().is_empty() {
        return Err("the command is missing".to_owned());
    }
    Ok(CronJob { cron: cron.join(" "), user, command, stdin })
}

fn next_word<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let trimmed = rest.trim_start();
    let (word, after) = trimmed.split_at(trimmed.find(char::is_whitespace).unwrap_or(trimmed.len()));
    *rest = after;
    Some(word).filter(|word| !word.is_empty())
}

/// The first `%` ends the command; what follows is its standard input, in which each further one is
/// the end of a line. `\%` is a percent sign.
fn percents(text: &str) -> (String, Option<String>) {
    let (mut command, mut input) = (String::new(), None::<String>);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next = match c {
            '\\' if chars.peek() == Some(&'%') => chars.next().unwrap_or(c),
            '%' => match &mut input {
                None => {
                    input = Some(String::new());
                    continue;
                }
                Some(_) => '\n',
            },
            other => other,
        };
        input.as_mut().unwrap_or(&mut command).push(next);
    }
    if let Some(input) = input.as_mut().filter(|input| !input.ends_with('\n')) {
        input.push('\n');
    }
    (command, input)
}

/// Returns the word of a shell line that says best what it runs.
fn word(line: &str) -> String {
    let skipped = |part: &&str| {
        let mut words = part.split_whitespace();
        let first = words.next().unwrap_or_default().trim_start_matches(['(', '{', '!']);
        let is_program = INTERPRETERS.contains(&first) && words.next().is_some_and(|word| ["-e", "-c"].contains(&word));
        !is_program && !["cd", "[", "[[", "test", "sleep", ".", "source", "export", "umask", ""].contains(&first)
    };
    let part = line.split(['&', '|', ';']).find(skipped).unwrap_or(line);
    let is_plain = |word: &&str| !word.starts_with('-') && !word.contains('=') && !word.starts_with(|c: char| c.is_ascii_digit());
    let base = |word: &str| word.rsplit('/').next().unwrap_or_default().trim_matches(['"', '\'', '(', '{', '$', ')']).to_owned();
    let mut words = part.split_whitespace().filter(is_plain).map(base);
    let mut first = words.next().unwrap_or_default();
    while WRAPPERS.contains(&first.as_str()) {
        // The first argument of flock is the file that it locks.
        let ahead = usize::from(first == "flock");
        first = words.nth(ahead).unwrap_or_default();
    }
    let found = if INTERPRETERS.contains(&first.as_str()) { words.next().unwrap_or(first) } else { first };
    let stem = found.rsplit_once('.').map_or(found.as_str(), |(stem, _)| stem);
    let plain: String =
        stem.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).take(NAME_PART_MAX).collect();
    match plain.trim_start_matches('-') {
        "" => "job".to_owned(),
        plain => plain.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(line: &str, is_of_system: bool) -> What {
        let mut all = read(line.as_bytes(), is_of_system);
        assert_eq!(all.len(), 1, "{line}");
        all.pop().unwrap().what
    }

    fn job_of(line: &str) -> CronJob {
        match only(line, false) {
            What::Job(job) => job,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn variables_are_read_as_cron_reads_them() {
        for (line, name, value) in [
            ("MAILTO=root", "MAILTO", "root"),
            ("  A = \" b c \"  ", "A", " b c "),
            ("'A'='x'", "A", "x"),
            ("PATH=/bin:$PATH", "PATH", "/bin:$PATH"),
            ("MAILTO=\"\"", "MAILTO", ""),
            ("A=b=c # d", "A", "b=c # d"),
        ] {
            assert_eq!(only(line, false), What::Variable { name: name.into(), value: value.into() }, "{line}");
        }
        assert!(matches!(only("* * * * * A=b c", false), What::Job(_)));
        assert!(matches!(only("@daily A=b c", false), What::Job(_)));
        assert_eq!(read(b"# c\n\n  \t\n   # d = e\n", false), []);
    }

    #[test]
    fn a_percent_sign_begins_the_standard_input() {
        let job = job_of("0 9 * * 1 mail -s 'a \\% b' me%Hello,%%bye\\%");
        assert_eq!((job.command.as_str(), job.stdin.as_deref()), ("mail -s 'a % b' me", Some("Hello,\n\nbye%\n")));
        assert_eq!(job_of("* * * * * date +\\%F").command, "date +%F");
        assert_eq!(job_of("* * * * * cat%").stdin.as_deref(), Some("\n"));
    }

    #[test]
    fn fields_users_and_wrong_lines_are_told_apart() {
        let job = job_of(" -*/5\t*  * * *   echo  a  b ");
        assert_eq!((job.cron.as_str(), job.command.as_str()), ("*/5 * * * *", "echo  a  b "));
        assert_eq!(job_of("@reboot x").cron, "@reboot");
        assert_eq!(job_of("@every 5m x y").cron, "@every 5m");
        assert!(
            matches!(only("0 1 * * * root run-parts /etc", true), What::Job(CronJob { user: Some(user), .. }) if user == "root")
        );
        for wrong in ["* * * *", "x", "@daily", "* * * * *", "* * * * * %in", "0 1 * * * a\0b"] {
            assert!(matches!(only(wrong, false), What::Wrong(_)), "{wrong:?}");
        }
        assert!(matches!(only("* * * * * root", true), What::Wrong(_)));
        assert!(matches!(read(b"* * * * * \xff", false)[0].what, What::Wrong(_)));
        assert_eq!(job_of("@daily x\r").command, "x");
    }

    #[test]
    fn a_name_says_what_is_run_and_stays() {
        for (command, name) in [
            ("/usr/local/bin/backup.sh --full", "backup"),
            ("cd /srv/app && bin/rails runner x", "rails"),
            ("[ -x /usr/bin/certbot ] && perl -e 'sleep' && certbot renew", "certbot"),
            ("test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.daily )", "run-parts"),
            ("A=1 nice -n 19 flock -n /tmp/l python3 /opt/sync.py", "sync"),
            ("php /var/www/cron.php > /dev/null 2>&1", "cron"),
            ("\x1b[2J", "2J"),
            ("-", "job"),
            ("\"$HOME/bin/x\"", "x"),
        ] {
            assert_eq!(word(command), name, "{command}");
        }
        let name = job_of("0 5 * * * ./backup.sh").name();
        assert_eq!(name, job_of("0 5  * * *   ./backup.sh").name());
        assert_ne!(name, job_of("0 6 * * * ./backup.sh").name());
        assert!(crate::job::names::plain(&name).is_ok());
        let hostile = job_of(&format!("* * * * * {}", "ü/".repeat(10_000))).name();
        assert!(crate::job::names::plain(&hostile).is_ok(), "{hostile}");
    }
}
