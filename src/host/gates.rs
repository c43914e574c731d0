//! The state of the machine, and whether it leaves room for another job.
//!
//! Used by the worker before it claims, and by `status`, `why` and `doctor` to tell. Floors are the operator's; without them
//! nothing is held back.

use std::path::Path;

use sysinfo::System;

use crate::units::size_text;

/// What the machine must have left before a job is claimed. `None` asks for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Floors {
    /// Available memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Free room on the file's disk, in bytes.
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
    /// Room on the disk of a path, for a user who may write there without being root.
    pub disk_free_bytes: Option<u64>,
    pub disk_total_bytes: Option<u64>,
}

impl Machine {
    /// Looks at the machine, and at the disk that holds `path`.
    pub fn look(path: &Path) -> Self {
        let memory = System::new().map(|mut system| {
            system.refresh_memory();
            (system.total_memory(), system.available_memory())
        });
        // A machine that does not tell is one that holds nothing back.
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

/// The codes of what [`closed`] says.
pub const CODES: &[&str] = &["memory_floor", "disk_floor", "load_floor"];
/// What opens a gate again.
pub const REMEDY: &str =
    "wait, or lower the floor in [floor] of the worker's configuration (tenure config) and restart the worker";

/// Why no job may be claimed now, with the numbers, after its code; `None` where nothing holds back.
pub fn closed(floors: &Floors, machine: &Machine) -> Option<(&'static str, String)> {
    if let Some(floor) = floors.memory_bytes
        && machine.memory_available_bytes < floor
    {
        let free = size_text(machine.memory_available_bytes);
        return Some(("memory_floor", format!("{free} of memory are available, the floor is {}", size_text(floor))));
    }
    if let (Some(floor), Some(free)) = (floors.disk_bytes, machine.disk_free_bytes)
        && free < floor
    {
        return Some(("disk_floor", format!("{} are free on the disk, the floor is {}", size_text(free), size_text(floor))));
    }
    if let Some(most) = floors.load_max
        && machine.load > most
    {
        return Some(("load_floor", format!("load average is {:.2}, the limit is {most:.2}", machine.load)));
    }
    None
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
        assert_eq!(closed(&Floors::default(), &machine), None);
        for floors in [
            Floors { memory_bytes: Some(11), ..Floors::default() },
            Floors { disk_bytes: Some(6), ..Floors::default() },
            Floors { load_max: Some(1.9), ..Floors::default() },
        ] {
            assert!(closed(&floors, &machine).is_some(), "{floors:?}");
        }
        let met = Floors { memory_bytes: Some(10), disk_bytes: Some(5), load_max: Some(2.0) };
        assert_eq!(closed(&met, &machine), None);
    }

    #[test]
    fn the_machine_can_be_looked_at() {
        let machine = Machine::look(Path::new("/"));
        assert!(machine.memory_available_bytes > 0 && machine.memory_total_bytes >= machine.memory_available_bytes);
        assert!(machine.disk_free_bytes.is_some());
    }
}
