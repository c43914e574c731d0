use super::*;
use std::os::unix::ffi::OsStringExt;

use proptest::prelude::*;

fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(["tenure"].iter().chain(arguments))
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_example_of_the_manual_parses() {
    let lines = [
        "mcp|mcp -q agents --max-jobs 20 --max-timeout 10m|mcp --read-only|mcp --read-only --queue q",
        "add -- make all|add -c x|add --from -|add --from f --chunk 1000|run -t 5m -- x",
        "work|work --slots 4 --queue a --queue b|work --until-idle|work --until-empty --drain",
        "status|top|ls|ls --state failed --queue q --label l -n 5 -a|show 7|show last --json|logs 7|logs 7 -f|logs 7 -n 10|logs 7 --run 3|logs -f -l x --grep y",
        "wait 7|wait 1 2-4 --any --timeout 5m|why 7|history 7|events|events -f --after 12-7 -q q -l l --state failed --state done|events --after 0",
        "cancel 1,4,8|cancel --queue q|cancel --label l --state queued|retry 3-9|retry --failed|retry 7 --with-dependants",
        "set 7 priority=5 delay=10m|move 7 --first|move 7 8 --before 3|move 3-5 --after last|hold 7|release 7",
        "slots|slots 4|slots default|slots --json|queue ls|queue set q --slots 2 --max-runtime 1h|queue set q --on-failure pause|queue pause q|queue resume q|pause|resume|add --array 0-9 --stop-on-failure -- x|lane ls|lane set k --limit 2|pool ls|pool set gpu --limit 2|pool rm gpu|add --use gpu=1 --use license=2 -- x",
        "schedule ls|schedule add n @daily -- x|schedule add n @hourly -c x|schedule rm a b|schedule pause n|schedule resume n",
        "schedule add n 0_3_*_*_* --tz UTC --catch-up all --catch-up-max 9 -l l --lane k -- x|schedule next n -n 3|schedule history n -n 3",
        "schedule show n -n 3|schedule set n --cron @daily --tz UTC --catch-up none --unset lane --overlap queue --jitter 10m|schedule set n -r 2 -- x|schedule run n|schedule import -|schedule import f --apply --skip-unsupported --system-crontab -q q",
        "pipeline apply f|pipeline ls|pipeline show p|task start p --key k -p a=b -p c=|task ls -a|task ls --state failed --pipeline p",
        "task show 1|task show last --json|task stop 1 --why x --wait|task advance 1 --expect a --to b|task hold 1|task release 1",
        "task retry 1|task retry last --from a|task wait 1 2 --timeout 5s|task logs 1 -f -n 5 --stage a|task logs last --raw",
        "lease run n -- x|lease run n --wait 5m --why y -c x|lease ls|lease release n --force|fence -- x",
        "resource add vm --teardown x|resource add vm --teardown x --probe y --job 7 -t 5m -e A=b -w /",
        "resource add vm --teardown x --task 7|resource ls|resource ls -a|resource show 3|resource release 3 4-5",
        "resource release 3 --force|resource sweep",
        "import pueue -|import pueue f --apply --without-env|workspace ls|workspace rm k|workspace ensure k --prepare x",
        "doctor|doctor --fix|backup f|restore f|prune --older-than 30d|rm 7 @l|prune --state done -q q -l l --dry-run|progress 40 phase|config|completions bash|man",
        "--db f --json --color never|",
    ]
    .join("|");
    for line in lines.split('|') {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        assert!(parse(&arguments).is_ok(), "{line}: {}", parse(&arguments).unwrap_err());
    }
}

#[test]
fn contradicting_arguments_are_a_mistake_of_usage() {
    let lines = [
        "mcp x|mcp --read-only --max-jobs 1|mcp --read-only --max-timeout 1h|mcp --max-jobs 0|mcp --max-timeout 5|mcp --max-timeout 0s",
        "add --from f -- x|add --from f -c x|add --from f --chunk 0|add --from f --chunk 10001|add -d 1s --at 03:00 -- x|add make",
        "work --until-idle --until-empty|retry --failed 7|logs 7 --grep (|show|set 7|set|queue|queue pause|lane set k|lane set k --limit 0",
        "pool set gpu|pool set GPU --limit 1|pool set gpu --limit -1|add --use gpu=0 -- x|import|import pueue|import x f|slots 0|slots x|slots -1|slots 10001|prune|prune --dry-run|rm|prune --older-than 5|nope|ls --state x|ls -n x|logs 7 -f --run 3|completions x|progress",
        "schedule|schedule add n|schedule add n x y -- z|schedule add bad/name @daily -- x|schedule add n @daily --catch-up x -- x",
        "schedule add n @daily --catch-up-max 0 -- x|schedule next|schedule next n -n 0|schedule show|schedule set|schedule set n --unset x|schedule run",
        "pipeline apply|pipeline|task start|task start p -p a|task start p -p 1=b|task stop|task stop x|task stop 0|task advance 1 --to b",
        "task advance 1 --expect a|task show|task retry|task retry x|task wait|task wait 1 --timeout x|task logs|task logs 1 2",
        "move 7|move --first|move 7 --first --before 3|move 7 --before|queue set q --on-failure stop|add --stop-on-failure -- x|pause q|lease|lease run|lease run workspace/x -- x|lease run n --wait 5 -- x|lease release|lease run n make",
        "resource|resource add vm|resource add --teardown x|resource add vm --teardown x --job 1 --task 1",
        "top 7|events 7|events --after 7|events --after x|events --state x",
        "resource add vm --teardown x --job 0|resource release|resource show",
    ]
    .join("|");
    for line in lines.split('|') {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let error = parse(&arguments).expect_err(line);
        assert_eq!(error.exit_code(), i32::from(exit::USAGE), "{line}");
    }
}

#[test]
fn an_add_is_parsed_as_with_all_verbs() {
    let lines = [
        "add -- make all|add --db f -q q --json -- x|add --color never -c x -o -5|add -a 1 3-4 --after-any 2 -- x -y --json",
        "add --array 0-9%3 --allow-shared -- x|add -e A=b --pass-env C -w / -- x --help|add --from - --chunk 3|add --nice -3 -- x",
        "add --help|add -h|add --version|add|add make|add --nope -- x|add --unique k --array 0-1 -- x|add --nice x -- x|add --lab l -- x",
        "ls|--json add -- x|help add|add help",
    ]
    .join("|");
    let mut alone = 0;
    for line in lines.split('|') {
        let arguments: Vec<OsString> = ["tenure"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect();
        let (of_all, of_add) = (parse_any(arguments.clone()), parse_add(&arguments));
        alone += usize::from(of_add.is_some());
        if let Some(of_add) = of_add {
            assert_eq!(format!("{of_add:?}"), format!("{:?}", of_all.expect(line)), "{line}");
        }
    }
    assert_eq!(alone, 9, "each of the first two lines, and add alone");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Any arguments get an answer without a panic and without a terminal control sequence.
    #[test]
    fn nothing_that_is_typed_breaks_the_parser(
        verb in prop::sample::select(vec!["add", "run", "ls", "logs", "wait", "cancel", "set", "queue", "work", "prune", "lease", "fence", ""]),
        rest in prop::collection::vec(prop::collection::vec(any::<u8>().prop_filter("no NUL in argv", |b| *b != 0), 0..12), 0..6),
    ) {
        let arguments = [b"tenure".to_vec(), verb.as_bytes().to_vec()].into_iter().chain(rest).map(OsString::from_vec);
        if let Err(error) = Cli::try_parse_from(arguments) {
            let (mut shown, mut safe) = (crate::shown::Shown::default(), Vec::new());
            shown.push(error.render().ansi().to_string().as_bytes(), &mut safe);
            shown.finish(&mut safe);
            let text = String::from_utf8(safe).expect("only characters");
            for sequence in text.split('\x1b').skip(1) {
                let end = sequence.find('m').expect("a colour");
                prop_assert!(sequence[1..end].bytes().all(|b| b.is_ascii_digit() || b == b';'), "{text:?}");
            }
        }
    }
}
