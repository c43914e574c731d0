use super::*;

fn resolve(flags: &Flags, env: &[(&str, &str)], file: &str, is_root: bool) -> Result<Settings> {
    let env = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
    Settings::resolve(flags, &Around { env: &env, is_root }, Some(("/c.toml".into(), file.to_owned())))
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let flags = Flags { db: Some("/flag.db".into()), slots: Some(3), ..Flags::default() };
    let env = [("TENURE_DB", "/env.db"), ("TENURE_SLOTS", "5"), ("HOME", "/home/me")];
    let file = "db = \"/file.db\"\nslots = 7\n";
    let settings = resolve(&flags, &env, file, false).unwrap();
    assert_eq!(settings.db, Setting { value: "/flag.db".into(), source: Source::Flag("--db") });
    assert_eq!(settings.slots, Setting { value: Some(3), source: Source::Flag("--slots") });
    let settings = resolve(&Flags::default(), &env, file, false).unwrap();
    assert_eq!(settings.db, Setting { value: "/env.db".into(), source: Source::Env("TENURE_DB".into()) });
    assert_eq!(settings.slots.value, Some(5));
    let settings = resolve(&Flags::default(), &env[2..], file, false).unwrap();
    assert_eq!(settings.db, Setting { value: "/file.db".into(), source: Source::File("/c.toml".into()) });
    assert_eq!(settings.slots.value, Some(7));
    let settings = resolve(&Flags::default(), &env[2..], "", false).unwrap();
    assert_eq!(settings.db, Setting { value: "/home/me/.local/state/tenure/tenure.db".into(), source: Source::Default });
    assert_eq!(settings.slots, Setting { value: None, source: Source::Default });
}

#[test]
fn the_default_place_follows_the_standard_and_root_has_its_own() {
    let place = |env: &[(&str, &str)], root| resolve(&Flags::default(), env, "", root).map(|s| s.db.value);
    assert_eq!(place(&[("XDG_STATE_HOME", "/state"), ("HOME", "/h")], false).unwrap(), Path::new("/state/tenure/tenure.db"));
    assert_eq!(
        place(&[("XDG_STATE_HOME", "relative"), ("HOME", "/h")], false).unwrap(),
        Path::new("/h/.local/state/tenure/tenure.db")
    );
    assert_eq!(place(&[("HOME", "/root")], true).unwrap(), Path::new("/var/lib/tenure/tenure.db"));
    assert!(place(&[("TENURE_DB", "")], false).unwrap_err().to_string().contains("--db"));
    let env = |name: &str| (name == "HOME").then(|| OsString::from("/h"));
    let around = |is_root| Around { env: &env, is_root }.config_path();
    assert_eq!(around(false), Some(("/h/.config/tenure/config.toml".into(), false)));
    assert_eq!(around(true), Some(("/etc/tenure/config.toml".into(), false)));
}

#[test]
fn every_key_of_the_file_is_read() {
    let file = r#"
        db = "/q.db"
        slots = 2
        durability = "full"
        keep = "30d"
        log_limit = "1M"
        repair = false
        drain = true
        on_term = "end"
        stop_timeout = "1m"
        color = "never"
        [floor]
        memory = "512M"
        disk = "1G"
        load = 8.0
        [workspace]
        max_size = "20G"
        [pool]
        gpu = 2
    "#;
    let s = resolve(&Flags::default(), &[], file, false).unwrap();
    assert_eq!(s.pools.value, [("gpu".to_owned(), 2)].into());
    for wrong in ["pool.gpu = -1", "pool.GPU = 1", "pool.gpu = 10001", "pool.gpu = \"x\"", "pool = 3"] {
        assert!(resolve(&Flags::default(), &[], wrong, false).is_err(), "{wrong}");
    }
    assert_eq!((s.durability.value, s.keep_ms.value, s.log_limit_bytes.value), (Durability::Full, Some(2_592_000_000), 1 << 20));
    assert_eq!(
        (s.floor_memory_bytes.value, s.floor_disk_bytes.value, s.floor_load.value),
        (Some(512 << 20), Some(1 << 30), Some(8.0))
    );
    assert_eq!(s.workspace_max_size_bytes.value, Some(20 << 30));
    assert_eq!((s.on_term.value, s.stop_timeout_ms.value), (Some(OnTerm::End), 60_000));
    assert_eq!((s.drain.value, s.color.value, s.repair.value), (true, Colour::Never, false));
    assert_eq!(resolve(&Flags::default(), &[("TENURE_KEEP", "forever")], file, false).unwrap().keep_ms.value, None);
}

#[test]
fn what_is_wrong_is_refused_with_where_it_stands() {
    let cases = [
        ("slotz = 3", "\"slotz\" is not a setting; did you mean slots?"),
        ("keep_ms = 3", "did you mean keep?"),
        ("repiar = false", "did you mean repair?"),
        ("floor = 3", "floor"),
        ("slots = { a = 1 }", "slots"),
        ("[nonsense]\nx = 1", "the settings are db, slots"),
        ("slots = -1", "expected a whole number, such as 4"),
        ("slots = \"4\"", "expected a whole number, such as 4"),
        ("[floor]\nload = \"x\"", "expected a number, such as 1.5"),
        ("slots = 0", "slots"),
        ("slots = 100000", "10000"),
        ("keep = \"soon\"", "keep"),
        ("log_limit = \"1K\"", "64K"),
        ("durability = \"none\"", "durability"),
        ("[floor]\nram = \"1G\"", "ram"),
        ("[workspace]\nmax_size = \"much\"", "max_size"),
        ("[workspace]\nmax = \"1G\"", "max"),
        ("x = [", "c.toml"),
        ("repair = 3", "repair"),
    ];
    for (file, word) in cases {
        let error = resolve(&Flags::default(), &[("HOME", "/h")], file, false).unwrap_err();
        assert!(error.to_string().contains(word) && error.exit_code() == 2, "{file}: {error}");
    }
    for (name, value) in
        [("TENURE_SLOTS", "many"), ("TENURE_COLOR", "blue"), ("TENURE_DRAIN", "maybe"), ("TENURE_FLOOR_LOAD", "nan")]
    {
        let error = resolve(&Flags::default(), &[("HOME", "/h"), (name, value)], "", false).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}
