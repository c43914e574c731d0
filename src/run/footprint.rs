//! Gives memory back that a process has used and does not need while it waits.

/// A variable of the environment by which libc keeps no lists of freed memory for each thread: what
/// is in them is not free for [`give_back_heap`], and keeps whole pages. Other programs than those
/// with the GNU libc ignore it.
pub(super) const TUNABLES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");

/// Returns the free pages of the heap to the kernel. It takes some microseconds, and each of these
/// pages is a page fault when it is used again: for a process that waits for long.
pub(super) fn give_back_heap() {
    // SAFETY: it touches only what is free, under the locks of the allocator.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
