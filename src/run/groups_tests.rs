use super::*;
use crate::job::Nonce;

const MOUNTS: &str = "30 20 0:26 / /sys/fs/cgroup ro,nosuid shared:5 - tmpfs tmpfs ro\n\
                      31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:6 - cgroup2 cgroup2 rw,nsdelegate\n\
                      32 30 0:28 /docker/abc /sys/fs/cgroup/memory rw shared:7 - cgroup cgroup rw,memory\n";

#[test]
fn own_group_is_found_in_every_kind_of_mount() {
    let own = |mounts: &str, groups: &str| own_group(mounts, groups).map(|own| own.dir());
    let groups = "4:memory:/docker/abc/x\n0::/system.slice/tenure.service\n";
    assert_eq!(own(MOUNTS, groups), Some("/sys/fs/cgroup/unified/system.slice/tenure.service".into()));
    assert_eq!(own("", groups), None);
    assert_eq!(own(MOUNTS, "4:memory:/x\n"), None);
    let part = "31 30 0:27 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
    assert_eq!(own(part, "0::/docker/abc/worker\n"), Some("/sys/fs/cgroup/worker".into()));
    assert_eq!(own(part, "0::/docker/abc\n"), Some("/sys/fs/cgroup".into()));
    assert_eq!(own(part, "0::/elsewhere\n"), None, "it is not mounted here");
}

fn group(dir: &Path, controllers: &str, handed_on: &str, procs: &str) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("cgroup.controllers"), controllers).unwrap();
    fs::write(dir.join("cgroup.subtree_control"), handed_on).unwrap();
    fs::write(dir.join("cgroup.procs"), procs).unwrap();
}

/// As systemd 254 and the kernel make it: below the unit nothing has a memory controller until a
/// process enables it there.
#[test]
fn a_delegated_unit_gets_its_groups_beside_the_worker() {
    let root = tempfile::tempdir().unwrap();
    for (unit, worker, procs, in_namespace, is_ours) in [
        ("tenure.service", "worker", "", false, true),
        ("run-5.scope", "worker", "", false, true),
        ("tenure.service", "worker", "17\n", false, false),
        ("tenure.service", "other.service", "", false, false),
        ("user.slice", "worker", "", false, false),
        ("system.slice", "tenure.service", "", false, false),
        ("tenure.service", "a.slice", "", false, false),
        ("anything", "worker", "", true, false),
    ] {
        let name = format!("{unit}/{worker}");
        let own = Own { root: root.path().join("x"), path: name.clone().into() };
        let parent = own.dir().parent().unwrap().to_owned();
        let _ = fs::remove_dir_all(&parent);
        group(&parent, "cpu memory pids\n", "", procs);
        group(&own.dir(), "\n", "", "17\n");
        let found = parent_of_runs(&own, in_namespace);
        assert_eq!(found.is_ok(), is_ours, "{name}: {found:?}");
        if is_ours {
            assert_eq!(found.unwrap(), parent);
            assert!(lists_memory(&parent.join("cgroup.subtree_control")), "it was enabled");
            assert_eq!(parent_of_runs(&own, in_namespace), Ok(parent.clone()), "and found so by the next worker");
        }
    }
}

#[test]
fn a_container_gets_its_groups_in_the_root_of_its_namespace() {
    let root = tempfile::tempdir().unwrap();
    let own = Own { root: root.path().into(), path: "worker".into() };
    group(root.path(), "memory\n", "", "");
    group(&own.dir(), "\n", "", "1\n");
    assert!(parent_of_runs(&own, false).unwrap_err().contains("is not delegated"));
    assert_eq!(parent_of_runs(&own, true), Ok(root.path().into()));
    group(root.path(), "pids\n", "", "");
    assert!(parent_of_runs(&own, true).unwrap_err().contains("has no memory controller"));
    let own = Own { path: PathBuf::new(), ..own };
    group(root.path(), "pids\n", "", "1\n");
    assert!(parent_of_runs(&own, true).unwrap_err().contains("in the root"));
}

#[test]
fn only_dead_groups_of_this_file_are_swept() {
    let root = tempfile::tempdir().unwrap();
    let limiter = Limiter { parent: Some(root.path().into()), why: String::new(), kills: None, file: "0123abcd".into() };
    let nonce = Nonce([7; 16]);
    let [dead, alive] = [RunId(5), RunId(6)].map(|run| limiter.group(RunKey { run, nonce }).unwrap());
    let foreign = ["tenure-run-ffffffff-5-07070707", "tenure-run-5-07070707", "worker", "tenure-run-0123abcd-x-07070707"];
    for dir in [&dead, &alive].into_iter().cloned().chain(foreign.map(|name| root.path().join(name))) {
        fs::create_dir(dir).unwrap();
    }
    limiter.sweep(|run| run == RunId(6));
    assert!(!dead.exists() && alive.exists());
    assert!(foreign.iter().all(|name| root.path().join(name).exists()));
}

#[test]
fn kills_are_counted_in_both_versions() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for (text, kills) in [
        ("low 0\nhigh 3\nmax 7\noom 2\noom_kill 1\noom_group_kill 1\n", 1),
        ("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n", 4),
        ("", 0),
    ] {
        fs::write(file.path(), text).unwrap();
        assert_eq!(kills_in(file.path()), kills);
    }
    assert_eq!(kills_in(Path::new("/nonexistent")), 0);
}
