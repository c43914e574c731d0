//! Pools: counted things of the machine, of which jobs use some.

use super::Queue;
use crate::error::Result;
use crate::store::job::pool;

impl Queue {
    /// Sets how many units a pool has, 0 to 10,000; the pool is created if needed. Running jobs
    /// keep what they have. A job uses some with [`Job::uses`](crate::Job::uses).
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for a name that is not of a-z, 0-9 and _, or a
    /// size out of range.
    pub fn set_pool(&self, name: &str, size: u32) -> Result<()> {
        let name = name.to_owned();
        self.store.write(move |conn| pool::set(conn, &name, size.into()))?;
        self.wake();
        Ok(())
    }

    /// Removes a pool.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound); [`Error::Refused`](crate::Error::Refused) while
    /// a queued or running job uses it.
    pub fn remove_pool(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.store.write(move |conn| pool::remove(conn, &name))
    }
}
