//! The threads of the file, of which there are few, and other parts of a limit.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::web::app::App;
use crate::web::limits::THREAD_WAIT;
use crate::web::problem::Problem;

/// Runs a function of the file on one of the threads for that.
///
/// # Errors
/// None was free for long.
pub async fn on_thread<T: Send + 'static>(app: &Arc<App>, act: impl FnOnce(&App) -> T + Send + 'static) -> Result<T, Problem> {
    let turn = permit(&app.threads, 1).await?;
    let app = Arc::clone(app);
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        act(&app)
    });
    done.await.map_err(|_| Problem::new(500, "failed", "the request has failed; the log of the server says more"))
}

/// Waits for a part of a limit.
///
/// # Errors
/// It was not free for long.
pub async fn permit(of: &Arc<Semaphore>, n: u32) -> Result<OwnedSemaphorePermit, Problem> {
    match timeout(THREAD_WAIT, Arc::clone(of).acquire_many_owned(n)).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Problem::busy("the server has too much to do")),
    }
}
