//! What the command line asks for.

use std::path::PathBuf;

/// How large everything is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// For trying: the figures mean nothing.
    Quick,
    /// Some 15 minutes on two cores.
    Usual,
    /// The sizes of the bars.
    Full,
}

pub struct Plan {
    pub size: Size,
    /// The directory that gets `docs/performance.md` and `README.md`.
    pub save: Option<PathBuf>,
    pub list: bool,
    /// How busy the machine was before anything was measured: the load average of the last minute.
    pub load: String,
    wanted: Vec<String>,
}

impl Plan {
    pub fn parse(args: impl Iterator<Item = String>, names: &[&str]) -> Result<Self, String> {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or_default().to_owned();
        let mut plan = Self { size: Size::Usual, save: None, list: false, load, wanted: vec![] };
        for arg in args {
            match arg.as_str() {
                // Cargo's own.
                "--bench" => {}
                "--quick" => plan.size = Size::Quick,
                "--full" => plan.size = Size::Full,
                "--list" => plan.list = true,
                "--save" => plan.save = Some(env!("CARGO_MANIFEST_DIR").into()),
                _ if arg.starts_with("--save=") => plan.save = Some(arg["--save=".len()..].into()),
                name if names.contains(&name) => plan.wanted.push(arg),
                _ => {
                    let names = names.join(", ");
                    return Err(format!("{arg:?} is not a figure; use --quick, --full, --save, --list or some of: {names}"));
                }
            }
        }
        match plan.save.is_some() && !plan.wanted.is_empty() {
            true => Err("--save needs all figures; omit the names".into()),
            false => Ok(plan),
        }
    }

    pub fn wants(&self, name: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|wanted| wanted == name)
    }

    /// The one for the size of this run.
    pub fn of<T>(&self, quick: T, usual: T, full: T) -> T {
        match self.size {
            Size::Quick => quick,
            Size::Usual => usual,
            Size::Full => full,
        }
    }

    /// How many rounds a ratio is the median of.
    pub fn rounds(&self) -> usize {
        self.of(2, 5, 7)
    }
}
