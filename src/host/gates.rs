//! The state of the machine, and whether it has room for another job.
//!
//! The worker checks it before it claims; `status`, `why` and `doctor` report it. The operator sets
//! the floors; without them nothing is held back.

use std::fmt;
use std::path::Path;

use sysinfo::System;

use crate::units::size_text;

/// What the machine must have left before a job is claimed. `None` requires nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Floors {
    /// Available memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Free space on the file's disk, in bytes.
    pub disk_bytes: Option<u64>,
    /// Highest load average of one minute.
    pub load_max: Option<f64>,
}

/// What the machine has left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Machine {
    pub memory_total_bytes: u64,
    pub memory_available_bytes: u64,
    /// Load average of one minute.
    pub load: f64,
    /// Free space on the disk of a path, for a user other than root.
    pub disk_free_bytes: Option<u64>,
    pub disk_total_bytes: Option<u64>,
}

impl Machine {
    /// Reads the state of the machine, and of the disk that holds `path`.
    pub fn sample(path: &Path) -> Self {
        let memory = System::new().map(|mut system| {
            system.refresh_memory();
            (system.total_memory(), system.available_memory())
        });
        // A machine that does not report holds nothing back.
        let (memory_total_bytes, memory_available_bytes) = memory.unwrap_or((u64::MAX, u64::MAX));
        let disk = rustix::fs::statvfs(path).ok();
        Self {
            memory_total_bytes,
            memory_available_bytes,
            load: System::load_average().map_or(0.0, |load| load.one),
            disk_free_bytes: disk.as_ref().map(|d| d.f_bavail.saturating_mul(d.f_frsize)),
            disk_total_bytes: disk.as_ref().map(|d| d.f_blocks.saturating_mul(d.f_frsize)),
        }
    }
}

/// A floor that the machine does not meet: no job is claimed until then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Gate {
    Memory { available_bytes: u64, floor_bytes: u64 },
    Disk { free_bytes: u64, floor_bytes: u64 },
    Load { load: f64, limit: f64 },
}

impl Gate {
    /// The codes of all gates.
    pub const CODES: [&str; 3] = ["memory_floor", "disk_floor", "load_floor"];
    /// How to open a gate of a worker.
    pub const REMEDY: &str =
        "wait, or lower the floor in [floor] of the worker's configuration (tenure config) and restart the worker";

    /// Returns the first closed gate: why no job may be claimed now. `None` if nothing holds claims
    /// back.
    pub fn closed(floors: &Floors, machine: &Machine) -> Option<Self> {
        if let Some(floor_bytes) = floors.memory_bytes
            && machine.memory_available_bytes < floor_bytes
        {
            return Some(Self::Memory { available_bytes: machine.memory_available_bytes, floor_bytes });
        }
        if let (Some(floor_bytes), Some(free_bytes)) = (floors.disk_bytes, machine.disk_free_bytes)
            && free_bytes < floor_bytes
        {
            return Some(Self::Disk { free_bytes, floor_bytes });
        }
        floors.load_max.filter(|limit| machine.load > *limit).map(|limit| Self::Load { load: machine.load, limit })
    }

    /// Returns the code for scripts.
    pub fn code(self) -> &'static str {
        let [memory, disk, load] = Self::CODES;
        match self {
            Self::Memory { .. } => memory,
            Self::Disk { .. } => disk,
            Self::Load { .. } => load,
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Memory { available_bytes, floor_bytes } => {
                write!(f, "{} of memory are available, the floor is {}", size_text(available_bytes), size_text(floor_bytes))
            }
            Self::Disk { free_bytes, floor_bytes } => {
                write!(f, "{} are free on the disk, the floor is {}", size_text(free_bytes), size_text(floor_bytes))
            }
            Self::Load { load, limit } => write!(f, "load average is {load:.2}, the limit is {limit:.2}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_holds_back_and_no_floor_does_not() {
        let machine = Machine {
            memory_total_bytes: 100,
            memory_available_bytes: 10,
            load: 2.0,
            disk_free_bytes: Some(5),
            disk_total_bytes: Some(50),
        };
        assert_eq!(Gate::closed(&Floors::default(), &machine), None);
        for (floors, code, text) in [
            (
                Floors { memory_bytes: Some(11), ..Floors::default() },
                "memory_floor",
                "10B of memory are available, the floor is 11B",
            ),
            (Floors { disk_bytes: Some(6), ..Floors::default() }, "disk_floor", "5B are free on the disk, the floor is 6B"),
            (Floors { load_max: Some(1.9), ..Floors::default() }, "load_floor", "load average is 2.00, the limit is 1.90"),
        ] {
            let gate = Gate::closed(&floors, &machine).unwrap();
            assert_eq!((gate.code(), gate.to_string().as_str()), (code, text));
        }
        let met = Floors { memory_bytes: Some(10), disk_bytes: Some(5), load_max: Some(2.0) };
        assert_eq!(Gate::closed(&met, &machine), None);
    }

    #[test]
    fn the_machine_can_be_looked_at() {
        let machine = Machine::sample(Path::new("/"));
        assert!(machine.memory_available_bytes > 0 && machine.memory_total_bytes >= machine.memory_available_bytes);
        assert!(machine.disk_free_bytes.is_some());
    }
}
