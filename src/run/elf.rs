//! The header of an ELF program: its machine, and its loader.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Machines by their number in the head, and what `uname -m` calls them.
const MACHINES: &[(u16, &str)] = &[
    (3, "i386"),
    (8, "mips"),
    (20, "ppc"),
    (21, "ppc64"),
    (22, "s390x"),
    (40, "arm"),
    (62, "x86_64"),
    (183, "aarch64"),
    (243, "riscv"),
    (258, "loongarch"),
];
const RELOCATABLE: u16 = 1;
const CORE: u16 = 4;
const INTERPRETER: u32 = 3;

/// Explains what is wrong with a program that begins with `head`; `None` if nothing is known.
pub(super) fn fault_of(head: &[u8]) -> Option<String> {
    let Some(machine) = machine_of(head) else {
        return Some("it is a program that was cut off; get it once more".into());
    };
    let ours = own_machine();
    // A 64-bit kernel of that family runs both.
    let is_ours =
        ours.is_none_or(|ours| ours == machine || (ours == (62, 2) && machine.0 == 3) || (ours == (183, 2) && machine.0 == 40));
    if !is_ours && !kernel_knows_more() {
        let here = ours.map_or_else(|| "another".to_owned(), |ours| name_of(ours.0));
        return Some(format!("it is a program for {}, and this machine is {here}; get one for this machine", name_of(machine.0)));
    }
    match number(head, 16, 2)? {
        kind if kind == u64::from(RELOCATABLE) => return Some("it is an object file; link it".into()),
        kind if kind == u64::from(CORE) => return Some("it is a core dump, not a program; name the program".into()),
        _ => {}
    }
    let loader = loader_of(head)?;
    let is_missing = !fs::exists(Path::new(OsStr::from_bytes(loader))).unwrap_or(true);
    let shown = String::from_utf8_lossy(loader);
    is_missing.then(|| {
        format!("its loader {shown:?} does not exist: it was built for another system; install the loader, or get a program for this system")
    })
}

/// Whether the kernel was configured to run more than its own formats (`binfmt_misc`): then nothing
/// is known.
pub(super) fn kernel_knows_more() -> bool {
    let Ok(entries) = fs::read_dir("/proc/sys/fs/binfmt_misc") else { return false };
    entries.flatten().any(|entry| entry.file_name() != "register" && entry.file_name() != "status")
}

fn own_machine() -> Option<(u16, u8)> {
    let mut head = Vec::new();
    File::open("/proc/self/exe").ok()?.take(64).read_to_end(&mut head).ok()?;
    machine_of(&head)
}

/// The machine, and 1 for 32 bits or 2 for 64.
fn machine_of(head: &[u8]) -> Option<(u16, u8)> {
    if head.len() < 52 {
        return None;
    }
    Some((u16::try_from(number(head, 18, 2)?).ok()?, head[4]))
}

fn name_of(machine: u16) -> String {
    let known = MACHINES.iter().find(|(number, _)| *number == machine);
    known.map_or_else(|| format!("machine {machine}"), |(_, name)| (*name).to_owned())
}

/// The program that loads this one, if it names one within what was read.
fn loader_of(head: &[u8]) -> Option<&[u8]> {
    let is_64 = head[4] == 2;
    let (table, size, count) = if is_64 {
        (number(head, 32, 8)?, number(head, 54, 2)?, number(head, 56, 2)?)
    } else {
        (number(head, 28, 4)?, number(head, 42, 2)?, number(head, 44, 2)?)
    };
    for n in 0..count {
        let at = usize::try_from(table.checked_add(n.checked_mul(size)?)?).ok()?;
        if number(head, at, 4)? != u64::from(INTERPRETER) {
            continue;
        }
        let (offset, length) = if is_64 {
            (number(head, at + 8, 8)?, number(head, at + 32, 8)?)
        } else {
            (number(head, at + 4, 4)?, number(head, at + 16, 4)?)
        };
        let (offset, length) = (usize::try_from(offset).ok()?, usize::try_from(length).ok()?);
        let text = head.get(offset..offset.checked_add(length)?)?;
        return text.split(|byte| *byte == 0).next().filter(|text| !text.is_empty());
    }
    None
}

/// A number of so many bytes, in the byte order of the file.
fn number(head: &[u8], at: usize, bytes: usize) -> Option<u64> {
    let field = head.get(at..at.checked_add(bytes)?)?;
    let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    Some(if head[5] == 2 { field.iter().fold(0, add) } else { field.iter().rev().fold(0, add) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Vec<u8> {
        let mut head = Vec::new();
        File::open("/proc/self/exe").unwrap().take(4096).read_to_end(&mut head).unwrap();
        head
    }

    #[test]
    fn nothing_is_wrong_with_this_program() {
        assert_eq!(fault_of(&own()), None);
    }

    #[test]
    fn any_damage_of_a_head_is_read_without_a_panic() {
        let whole = own();
        for length in 0..whole.len().min(400) {
            let _any = (length >= 6).then(|| fault_of(&whole[..length]));
        }
        for at in 6..64 {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                let _any = fault_of(&damaged);
            }
        }
    }
}
