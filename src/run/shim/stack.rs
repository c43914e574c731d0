//! A stack for the child that becomes the job: it shares the memory of the shim until it executes
//! the command.

use std::io;
use std::os::raw::c_void;
use std::ptr;

/// Stack of the child, in bytes; the page below it is inaccessible.
const STACK_BYTES: usize = 64 << 10;
const GUARD_BYTES: usize = 4096;

/// The child's stack.
pub struct Stack {
    base: *mut c_void,
}

impl Stack {
    pub fn new() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;
        // SAFETY: a new private mapping; no other code knows of it.
        let base = unsafe { libc::mmap(ptr::null_mut(), STACK_BYTES, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the first page of the mapping made above.
        unsafe { libc::mprotect(base, GUARD_BYTES, libc::PROT_NONE) };
        Ok(Self { base })
    }

    /// Stacks grow down on every machine that this runs on.
    pub fn top(&self) -> *mut c_void {
        // SAFETY: one past the end of the mapping, and aligned to 16 as its length is.
        unsafe { self.base.byte_add(STACK_BYTES) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; the child that used it no longer does.
        unsafe { libc::munmap(self.base, STACK_BYTES) };
    }
}
