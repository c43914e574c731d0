use super::*;
use crate::job::argv::Argv;
use crate::job::policy::Policy;
use crate::job::workspace::Workspace;

fn stage(command: &[&str], on_success: Option<&str>, on_failure: Option<&str>) -> Stage {
    let job = NewJob::new(Argv::from_strs(command).unwrap());
    Stage {
        job: Template { has_places: true, ..Template::of(job, None, None).unwrap() },
        on_success: on_success.map(str::to_owned),
        on_failure: on_failure.map(str::to_owned),
        critical: false,
        teardown: None,
    }
}

fn pipeline(start: &str, stages: &[(&str, Stage)]) -> Result<Pipeline, String> {
    let stages = stages.iter().map(|(name, stage)| ((*name).to_owned(), stage.clone())).collect();
    Pipeline::new(Some(start.to_owned()), Some(3), BTreeSet::new(), stages)
}

fn ship() -> Pipeline {
    let build = stage(&["make", "V={version}"], Some("test"), None);
    let test = stage(&["make", "test"], Some("publish"), Some("build"));
    pipeline("build", &[("build", build), ("test", test), ("publish", stage(&["x"], None, None))]).unwrap()
}

fn params(pairs: &[(&str, &str)]) -> Params {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn what_is_wrong_with_a_pipeline_is_told_when_it_is_applied() {
    let end = || stage(&["x"], None, None);
    for (wrong, word) in [
        (pipeline("a", &[]), "no stage"),
        (pipeline("b", &[("a", end())]), "start = \"b\""),
        (pipeline("a", &[("a", stage(&["x"], Some("b"), None))]), "on_success = \"b\""),
        (pipeline("a", &[("a", stage(&["x"], None, Some("b")))]), "on_failure = \"b\""),
        (pipeline("a", &[("a", end()), ("b", stage(&["x"], Some("a"), None))]), "\"b\" cannot be reached"),
        (pipeline("a", &[("a", stage(&["x", "{"], None, None))]), "brace"),
        (pipeline("a b", &[("a b", end())]), "letters"),
        (pipeline("\u{1b}", &[("\u{1b}", end())]), "letters"),
        (pipeline("-a", &[("-a", end())]), "begin with -"),
        (Pipeline::new(None, None, BTreeSet::new(), BTreeMap::from([("a".into(), end())])), "start is missing"),
        (Pipeline::new(Some("a".into()), Some(0), BTreeSet::new(), BTreeMap::from([("a".into(), end())])), "max_rounds"),
        (Pipeline::new(Some("a".into()), None, ["1".into()].into(), BTreeMap::from([("a".into(), end())])), "params"),
    ] {
        let error = wrong.expect_err(word);
        assert!(error.contains(word), "{error}");
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
    let ring = pipeline("a", &[("a", stage(&["x"], Some("b"), None)), ("b", stage(&["x"], Some("a"), None))]);
    assert!(ring.is_ok(), "max_rounds ends a walk in a ring: {ring:?}");
    let mut keyed = end();
    keyed.job.placement.unique_key = Some("k".into());
    assert!(pipeline("a", &[("a", keyed)]).unwrap_err().contains("--key"));
}

#[test]
fn a_pipeline_survives_its_json_and_equal_ones_have_equal_texts() {
    let ship = ship();
    assert_eq!(Pipeline::from_json(&ship.to_json()), Ok(ship.clone()));
    assert_eq!(ship.to_json(), self::ship().to_json());
    assert!(Pipeline::from_json(&ship.to_json().replace("\"start\":\"build\"", "\"start\":\"x\"")).is_err());
    assert!(Pipeline::from_json(&ship.to_json().replace("\"critical\"", "\"critcal\"")).is_err());
}

#[test]
fn a_task_goes_where_its_stage_leads() {
    let ship = ship();
    let none = |_: &str| 0;
    let end = |state, text: Option<&str>| Follows::End(state, text.map(str::to_owned));
    assert_eq!(ship.follows("build", State::Done, None, "", none), Follows::Stage("test"));
    assert_eq!(
        ship.follows("build", State::Failed, None, "exit status 1", none),
        end(TaskState::Failed, Some("stage build failed: exit status 1"))
    );
    assert_eq!(ship.follows("test", State::Failed, None, "", none), Follows::Stage("build"));
    assert_eq!(ship.follows("publish", State::Done, None, "", none), end(TaskState::Done, None));
    assert_eq!(
        ship.follows("test", State::Cancelled, None, "", none),
        end(TaskState::Cancelled, Some("stage test was cancelled"))
    );
}

#[test]
fn a_stopped_task_ends_as_cancelled_however_its_job_ended() {
    for how in [State::Done, State::Failed, State::Cancelled] {
        let follows = ship();
        let follows = follows.follows("build", how, Some("stopped"), "", |_| 0);
        assert_eq!(follows, Follows::End(TaskState::Cancelled, Some("stopped".into())));
    }
}

#[test]
fn a_stage_is_entered_max_rounds_times_and_no_more() {
    let ship = ship();
    let rounds = |n| move |stage: &str| if stage == "build" { n } else { 0 };
    assert_eq!(ship.follows("test", State::Failed, None, "", rounds(2)), Follows::Stage("build"));
    match ship.follows("test", State::Failed, None, "exit status 1", rounds(3)) {
        Follows::End(TaskState::Failed, Some(text)) => {
            assert!(text.contains("3 times") && text.contains("exit status 1"), "{text}")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_task_is_given_each_parameter_and_no_other() {
    let ship = ship();
    assert_eq!(ship.check_params(&params(&[("version", "1")])), Ok(()));
    assert!(ship.check_params(&params(&[])).unwrap_err().contains("version"));
    assert!(ship.check_params(&params(&[("version", "1"), ("verson", "1")])).unwrap_err().contains("\"verson\""));
    assert!(ship.check_params(&params(&[("version", "a\0b")])).unwrap_err().contains("NUL"));
    assert!(ship.check_params(&params(&[("version", &"x".repeat(200_000))])).unwrap_err().contains("file"));
    let exactly = "x".repeat(ARGUMENT_BYTES_MAX - PARAM_PREFIX.len() - "version".len() - 2);
    assert_eq!(ship.check_params(&params(&[("version", &exactly)])), Ok(()));
}

#[test]
fn a_line_for_the_shell_may_use_parameters_as_variables() {
    let mut shell = stage(&["sh", "-c", "echo $TENURE_PARAM_a ${TENURE_PARAM_b:-x}"], None, None);
    shell.job.has_places = false;
    let prepare = Argv::from_strs(&["sh", "-c", "git clone $TENURE_PARAM_f ."]).unwrap();
    shell.job.policy = Policy {
        check: Some(Argv::from_strs(&["sh", "-c", "echo $TENURE_PARAM_c"]).unwrap()),
        workspace: Some(Workspace { key: "w".into(), prepare: Some(prepare) }),
        ..Policy::default()
    };
    shell.teardown = Some(Argv::from_strs(&["sh", "-c", "echo $TENURE_PARAM_d"]).unwrap());
    let stages = BTreeMap::from([("a".to_owned(), shell)]);
    let pipeline = Pipeline::new(Some("a".into()), None, BTreeSet::from(["a".to_owned()]), stages).unwrap();
    assert_eq!(pipeline.check_params(&params(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("f", "5")])), Ok(()));
    assert!(pipeline.check_params(&params(&[("b", "2")])).unwrap_err().contains("missing: a"));
    assert!(pipeline.check_params(&params(&[("a", "1"), ("e", "2")])).is_err());
}

#[test]
fn the_job_of_a_stage_knows_its_task_and_nothing_hides_that() {
    let mut lying = stage(&["x"], None, None);
    lying.job.placement.env = BTreeMap::from([("TENURE_TASK".to_owned(), "99".to_owned()), ("A".to_owned(), "b".to_owned())]);
    let job = pipeline("a", &[("a", lying)]).unwrap().job("a", 7, &params(&[("p", "v")]), 5).unwrap();
    let expected = [("A", "b"), ("TENURE_PARAM_p", "v"), ("TENURE_STAGE", "a"), ("TENURE_TASK", "7")];
    assert_eq!(job.placement.env, params(&expected));
    assert_eq!(job.task, Some(7));
}
