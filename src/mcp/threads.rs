//! The threads that read and write the file, of which there are few.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::mcp::answer::Failure;
use crate::mcp::file::File;
use crate::mcp::limits::THREADS_MAX;

/// The file, and the right to a thread for it.
pub struct Threads {
    file: Arc<File>,
    turns: Arc<Semaphore>,
}

impl Threads {
    pub fn new(file: File) -> Self {
        Self { file: Arc::new(file), turns: Arc::new(Semaphore::new(THREADS_MAX)) }
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// Runs a function of the file on a thread, when one is free.
    ///
    /// # Errors
    /// As the function.
    pub async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&File) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let failed = || Failure::new("failed", "the call has failed; the messages of the server say more");
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| failed())?;
        let file = Arc::clone(&self.file);
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            act(&file)
        });
        done.await.map_err(|_| failed())?
    }
}
